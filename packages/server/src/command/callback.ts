import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { table } from "./table.ts";

const most = 100;

export const callbackCommands: readonly Command[] = [
  {
    name: "callbacks",
    says: "which agents could not be told of an answer, and why",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const due = (await store.due("callback", Number.MAX_SAFE_INTEGER, most)).map(({ record }) => record);
        const failing = due.filter(({ state, lastError }) => state === "waiting" && lastError !== undefined);
        const rows = [...failing, ...(await store.unansweredCallbacks(most))].map((callback) => ({
          request: callback.id,
          state: callback.state === "given_up" ? "given up" : "trying",
          mode: callback.mode,
          agent: callback.agent,
          attempts: callback.attempts,
          problem: callback.lastError ?? "",
        }));
        print(table(rows, given.flag("json"), "nothing is failing, and nothing was given up"));
      }),
  },
];
