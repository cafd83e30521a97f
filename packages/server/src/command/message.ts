import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { formatTable } from "./cli/table.ts";

const maxRows = 100;

export const messageCommands: readonly Command[] = [
  {
    name: "messages",
    summary: "list the messages that could not be delivered, and why",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const waiting = await store.due("message", Number.MAX_SAFE_INTEGER, maxRows);
        const failing = waiting
          .map(({ record }) => record)
          .filter(({ lastError }) => lastError !== undefined);
        const rows = [...failing, ...(await store.listAbandonedMessages(maxRows))].map((message) => ({
          id: message.id,
          state: message.state === "abandoned" ? "abandoned" : "retrying",
          kind: message.kind,
          channel: message.channel,
          request: message.requestId,
          approver: message.approver,
          attempts: message.attempts,
          problem: message.lastError ?? "",
        }));
        stdout(formatTable(rows, args.flag("json"), "nothing is failing or abandoned"));
      }),
  },
];
