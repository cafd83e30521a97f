/**
 * Creates and revokes initial access tokens (RFC 7591 §3), with which agents register themselves: for a number of
 * uses, until a time, for given action types and name. Returned once and stored as a hash.
 */

import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { hashSecret, newSecret } from "../../crypto/secret.ts";
import type { InitialAccessToken } from "../../store/record/initial-access-token.ts";
import { absent, type Store } from "../../store/store.ts";

export type NewInitialAccessToken = Pick<InitialAccessToken, "name" | "types"> & {
  readonly uses: number;
  readonly expiresAt: number;
};

export async function createInitialAccessToken(
  store: Store,
  { name, types, uses, expiresAt }: NewInitialAccessToken,
): Promise<{ readonly id: string; readonly token: string }> {
  const now = store.now();
  const token = newSecret();
  const id = computeInitialAccessTokenId(token);
  const record: InitialAccessToken = { id, name, types, usesLeft: uses, createdAt: now, expiresAt };
  const facts = { grant: id, name, types: [...types], uses, expires_at: expiresAt };
  await store.commit({
    writes: [{ put: "initial_access_token", record, ifVersion: absent }],
    entries: [newEntry("initial_access_token.created", now, { actor: operator, facts })],
  });
  return { id, token };
}

/**
 * Returns the id of an initial access token: its hash in hexadecimal, which never begins with `-` on a command line.
 */
export function computeInitialAccessTokenId(token: string): string {
  return Buffer.from(hashSecret(token), "base64url").toString("hex");
}

/** Revokes an initial access token. Agents that registered with it are unaffected. */
export async function revokeInitialAccessToken(store: Store, id: string): Promise<"done" | "unknown"> {
  for (;;) {
    const found = await store.read("initial_access_token", id);
    if (!found) return "unknown";
    const outcome = await store.commit({
      writes: [{ delete: "initial_access_token", id, ifVersion: found.version }],
      entries: [
        newEntry("initial_access_token.revoked", store.now(), { actor: operator, facts: { grant: id } }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}
