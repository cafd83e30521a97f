import { releaseDenial } from "../usecase/request/cancel.ts";
import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { formatTable } from "./cli/table.ts";

export const denialCommands: readonly Command[] = [
  {
    name: "denials list",
    summary: "list the actions that are blocked by a denial",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const rows = (await store.list("denial")).map(({ record }) => ({
          id: record.id,
          agent: record.agent,
          type: record.type,
          fields: JSON.stringify(record.fields),
          denied: new Date(record.deniedAt).toISOString(),
          request: record.requestId,
        }));
        stdout(formatTable(rows, args.flag("json"), "no denials"));
      }),
  },
  {
    name: "denials release",
    args: "<id>",
    summary:
      "release a denial, so that the agent may request the action again; a request id releases all its denials",
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        if ((await releaseDenial(store, id)) !== "done")
          throw new OperatorError(
            `no denial with id ${id}, and none of a request with that id`,
            "List them: countersign denials list",
          );
        stdout("released: the agent may request the action again");
      }),
  },
];
