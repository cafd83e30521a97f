import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { table } from "./cli/table.ts";

const most = 100;

export const callbackCommands: readonly Command[] = [
  {
    name: "callbacks",
    summary: "which agents could not be told of an answer, and why",
    options: { json: { type: "boolean", summary: "as JSON lines" } },
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const due = (await store.due("callback", Number.MAX_SAFE_INTEGER, most)).map(({ record }) => record);
        const failing = due.filter(({ state, lastError }) => state === "waiting" && lastError !== undefined);
        const rows = [...failing, ...(await store.listAbandonedCallbacks(most))].map((callback) => ({
          request: callback.id,
          state: callback.state === "given_up" ? "given up" : "trying",
          mode: callback.mode,
          agent: callback.agent,
          attempts: callback.attempts,
          problem: callback.lastError ?? "",
        }));
        stdout(table(rows, given.flag("json"), "nothing is failing, and nothing was given up"));
      }),
  },
];
