import { reopen } from "../usecase/request/cancel.ts";
import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { table } from "./cli/table.ts";

export const latchCommands: readonly Command[] = [
  {
    name: "latch list",
    summary: "the actions that were denied and stay so",
    options: { json: { type: "boolean", summary: "as JSON lines" } },
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const rows = (await store.list("denial")).map(({ record }) => ({
          id: record.id,
          agent: record.agent,
          type: record.type,
          subject: JSON.stringify(record.fields),
          denied: new Date(record.deniedAt).toISOString(),
          request: record.requestId,
        }));
        stdout(table(rows, given.flag("json"), "nothing is latched"));
      }),
  },
  {
    name: "latch reopen",
    args: "<id>",
    summary:
      "let a denied action be asked for again: one latch, or by the request's id all that was denied with it",
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        if ((await reopen(store, id)) !== "done")
          throw new OperatorError(
            `there is no latch ${id}, and none of a request by that id`,
            "countersign latch list shows them.",
          );
        stdout("re-opened: the agent may ask again");
      }),
  },
];
