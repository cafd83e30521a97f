import type { JsonObject } from "@countersign/protocol";
import { defineRecord } from "./define-record.ts";

/**
 * What a message tells the approver. `requested`: a request waits for a decision. `resolved`: it has ended; edits the message
 * that was sent, in channels that can.
 */
export type MessageKind = "requested" | "resolved";

/** A queued notification to an approver (outbox). A message with a receipt is queued again as `resolved` once it was sent. */
export type Message = {
  readonly id: string;
  readonly kind: MessageKind;
  readonly channel: string;
  readonly requestId: string;
  readonly approver: string;
  /** The contact that it is sent to. Undefined: the approver's e-mail address, or not chosen yet. */
  readonly contact?: string;
  readonly attempts: number;
  readonly state: "queued" | "sent" | "abandoned";
  /** When the next attempt is due; during an attempt, when its lease ends; of `resolved`, at the latest when the request ends. */
  readonly dueAt: number;
  readonly lastError?: string;
  /** Where the channel sent it: what `update` needs to find it. In the form that the channel defines. */
  readonly receipt?: JsonObject;
};

/** Longer than a mail server takes to accept a message. */
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
  columns: {
    state: (message) => message.state,
    // The request whose end it waits for, which is reported in it.
    awaits: ({ kind, state, requestId }) => (kind === "resolved" && state === "queued" ? requestId : null),
  },
  indexes: [
    { name: "abandoned", on: ["id"], where: "state = 'abandoned'" },
    { name: "awaits", on: ["awaits", "id"], where: "awaits IS NOT NULL" },
  ],
  hasRandomId: true,
});
