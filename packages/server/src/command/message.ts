import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { table } from "./table.ts";

export const messageCommands: readonly Command[] = [
  {
    name: "messages",
    says: "what could not be delivered, and why",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const rows = (await store.undelivered(100)).map((message) => ({
          id: message.id,
          channel: message.channel,
          request: message.approval,
          approver: message.approver,
          attempts: message.attempts,
          problem: message.lastError ?? "",
        }));
        print(table(rows, given.flag("json"), "nothing was given up"));
      }),
  },
];
