/**
 * The operator allows agents to register themselves: so many, until then, for these action types, under this name. What
 * allows it is an initial access token (RFC 7591 §3), shown once and kept as a hash.
 */
import type { RegistrationGrant } from "../store/record.ts";
import { absent, type Store } from "../store/store.ts";
import { newEntry } from "./entry.ts";
import { hashSecret, newSecret } from "./secret.ts";

export type Allowance = Pick<RegistrationGrant, "name" | "types"> & {
  readonly uses: number;
  readonly expiresAt: number;
};

export async function allowRegistration(
  store: Store,
  { name, types, uses, expiresAt }: Allowance,
): Promise<{ readonly id: string; readonly token: string }> {
  const now = store.now();
  const token = newSecret();
  const id = allowanceId(token);
  const record: RegistrationGrant = { id, name, types, usesLeft: uses, createdAt: now, expiresAt };
  const facts = { grant: id, name, types: [...types], uses, expires_at: expiresAt };
  await store.commit({
    writes: [{ put: "registration_grant", record, expect: absent }],
    entries: [newEntry("registration.allowed", now, { facts })],
  });
  return { id, token };
}

/** What an initial access token is known by: its hash in hexadecimal, so that it can stand on a command line. */
export function allowanceId(token: string): string {
  return Buffer.from(hashSecret(token), "base64url").toString("hex");
}

/** From then on nobody registers by it. Those who did stay. */
export async function withdrawRegistration(store: Store, id: string): Promise<"done" | "unknown"> {
  for (;;) {
    const held = await store.read("registration_grant", id);
    if (!held) return "unknown";
    const outcome = await store.commit({
      writes: [{ drop: "registration_grant", id, expect: held.version }],
      entries: [newEntry("registration.withdrawn", store.now(), { facts: { grant: id } })],
    });
    if (outcome === "committed") return "done";
  }
}
