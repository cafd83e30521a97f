import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { formatTable } from "./cli/table.ts";

const maxRows = 100;

export const callbackCommands: readonly Command[] = [
  {
    name: "callbacks",
    summary: "list the callbacks that could not be delivered, and why",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const due = (await store.due("callback", Number.MAX_SAFE_INTEGER, maxRows)).map(
          ({ record }) => record,
        );
        const failing = due.filter(({ state, lastError }) => state === "queued" && lastError !== undefined);
        const rows = [...failing, ...(await store.listAbandonedCallbacks(maxRows))].map((callback) => ({
          request: callback.id,
          state: callback.state === "abandoned" ? "abandoned" : "retrying",
          mode: callback.mode,
          agent: callback.agent,
          attempts: callback.attempts,
          problem: callback.lastError ?? "",
        }));
        stdout(formatTable(rows, args.flag("json"), "nothing is failing or abandoned"));
      }),
  },
];
