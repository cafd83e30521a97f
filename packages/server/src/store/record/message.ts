import { defineRecord } from "./define-record.ts";

/** A queued notification to an approver (outbox). */
export type Message = {
  readonly id: string;
  readonly channel: string;
  readonly requestId: string;
  readonly approver: string;
  readonly attempts: number;
  readonly state: "queued" | "sent" | "abandoned";
  /** When the next attempt is due; during an attempt, when its lease ends. */
  readonly dueAt: number;
  readonly lastError?: string;
};

/** Longer than a mail server may take. */
const leaseMs = 60_000;

export const messageRecord = defineRecord<Message>()({
  id: (message) => message.id,
  retention: "outbox",
  dueAt: (message) => (message.state === "queued" ? message.dueAt : null),
  lease: (message, now) =>
    message.state === "queued" && message.dueAt <= now
      ? { ...message, attempts: message.attempts + 1, dueAt: now + leaseMs }
      : undefined,
  logged: false,
  columns: { state: (message) => message.state },
  indexes: [{ name: "abandoned", on: ["id"], where: "state = 'abandoned'" }],
  hasRandomId: true,
});
