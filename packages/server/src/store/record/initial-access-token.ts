import { defineRecord } from "./define-record.ts";

/** Lets an agent register itself (RFC 7591 §3), found by the hash of the initial access token. */
export type InitialAccessToken = {
  readonly id: string;
  /** The name of the agents that register with it, as cards show it. */
  readonly name: string;
  /** Action types that it may register for. */
  readonly types: readonly string[];
  readonly usesLeft: number;
  readonly createdAt: number;
  readonly expiresAt: number;
};

export const initialAccessTokenRecord = defineRecord<InitialAccessToken>()({
  id: (token) => token.id,
  retention: "expires",
  dueAt: (token) => token.expiresAt,
  logged: true,
});
