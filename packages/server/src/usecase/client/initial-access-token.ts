/**
 * The operator allows agents to register themselves: so many, until then, for these action types, under this name. What
 * allows it is an initial access token (RFC 7591 §3), shown once and kept as a hash.
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

/** What an initial access token is known by: its hash in hexadecimal, so that it can stand on a command line. */
export function computeInitialAccessTokenId(token: string): string {
  return Buffer.from(hashSecret(token), "base64url").toString("hex");
}

/** From then on nobody registers by it. Those who did stay. */
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
