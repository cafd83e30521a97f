import { reopen } from "../operations/cancel.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

export const latchCommands: readonly Command[] = [
  {
    name: "latch list",
    says: "the actions that were denied and stay so",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const rows = (await store.list("latch")).map(({ record }) => ({
          id: record.id,
          agent: record.agent,
          type: record.type,
          subject: JSON.stringify(record.subject),
          denied: new Date(record.deniedAt).toISOString(),
          request: record.approval,
        }));
        print(table(rows, given.flag("json"), "nothing is latched"));
      }),
  },
  {
    name: "latch reopen",
    takes: "<id>",
    says: "let a denied action be asked for again: one latch, or by the request's id all that was denied with it",
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        if ((await reopen(store, id)) !== "done")
          throw new OperatorError(
            `there is no latch ${id}, and none of a request by that id`,
            "countersign latch list shows them.",
          );
        print("re-opened: the agent may ask again");
      }),
  },
];
