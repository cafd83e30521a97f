import { defineRecord } from "./define-record.ts";

/** A one-time value that was used (a client assertion, a WebAuthn challenge), stored until it would have expired. */
export type Replay = { readonly id: string; readonly expiresAt: number };

export const replayRecord = defineRecord<Replay>()({
  id: (replay) => replay.id,
  retention: "expires",
  dueAt: (replay) => replay.expiresAt,
  logged: false,
});
