import { defineRecord } from "./define-record.ts";

/** Where a channel reaches an approver: a chat user, a phone number, a push subscription. An approver may have several. */
export type Contact = {
  readonly id: string;
  readonly approver: string;
  /** The channel that sends to it. */
  readonly channel: string;
  /** In the form that the channel defines. */
  readonly address: string;
  /** When the approver, or an operator, proved that the address is the approver's. */
  readonly verifiedAt: number;
  /** When the channel reported that the address no longer exists. Nothing is sent to it since. */
  readonly disabledAt?: number;
  readonly disabledReason?: string;
};

export const contactRecord = defineRecord<Contact>()({
  id: (contact) => contact.id,
  retention: "kept",
  logged: true,
  columns: { approver: (contact) => contact.approver },
  indexes: [{ name: "approver", on: ["approver", "id"] }],
});
