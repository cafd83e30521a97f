import { defineRecord } from "./define-record.ts";

/** The request that is returned for an identical ask, or for an ask with the same idempotency key. */
export type DedupeKey = {
  readonly id: string;
  readonly requestId: string;
  /** Hash of the ask that used the key first; the same key with other content is rejected. */
  readonly contentHash: string;
  readonly keptUntil: number;
};

export const dedupeKeyRecord = defineRecord<DedupeKey>()({
  id: (key) => key.id,
  retention: "expires",
  dueAt: (key) => key.keptUntil,
  logged: false,
});
