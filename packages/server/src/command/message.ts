import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { table } from "./cli/table.ts";

const most = 100;

export const messageCommands: readonly Command[] = [
  {
    name: "messages",
    summary: "what could not be delivered, and why",
    options: { json: { type: "boolean", summary: "as JSON lines" } },
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const waiting = await store.due("message", Number.MAX_SAFE_INTEGER, most);
        const failing = waiting
          .map(({ record }) => record)
          .filter(({ lastError }) => lastError !== undefined);
        const rows = [...failing, ...(await store.listAbandonedMessages(most))].map((message) => ({
          id: message.id,
          state: message.state === "given_up" ? "given up" : "trying",
          channel: message.channel,
          request: message.requestId,
          approver: message.approver,
          attempts: message.attempts,
          problem: message.lastError ?? "",
        }));
        stdout(table(rows, given.flag("json"), "nothing is failing, and nothing was given up"));
      }),
  },
];
