import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { table } from "./table.ts";

const most = 100;

export const messageCommands: readonly Command[] = [
  {
    name: "messages",
    says: "what could not be delivered, and why",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const waiting = await store.due("message", Number.MAX_SAFE_INTEGER, most);
        const failing = waiting
          .map(({ record }) => record)
          .filter(({ lastError }) => lastError !== undefined);
        const rows = [...failing, ...(await store.undelivered(most))].map((message) => ({
          id: message.id,
          state: message.state === "given_up" ? "given up" : "trying",
          channel: message.channel,
          request: message.approval,
          approver: message.approver,
          attempts: message.attempts,
          problem: message.lastError ?? "",
        }));
        print(table(rows, given.flag("json"), "nothing is failing, and nothing was given up"));
      }),
  },
];
