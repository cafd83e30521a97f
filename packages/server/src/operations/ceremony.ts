/**
 * One passkey ceremony: a challenge that is kept when it is handed out and dropped when it is used. The drop is part
 * of the commit that the ceremony is for, so a challenge answered twice is a conflict.
 */
import { randomBytes } from "node:crypto";
import type { Ceremony } from "../approver/approver.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";

const lifetimeMs = 10 * 60_000;

export function newChallenge(): string {
  return randomBytes(32).toString("base64url");
}

/** Keeps a challenge. `expiresAt` defaults to ten minutes from now. */
export async function openCeremony(
  store: Store,
  ceremony: Omit<Ceremony, "expiresAt">,
  expiresAt?: number,
): Promise<void> {
  const record = { ...ceremony, expiresAt: expiresAt ?? store.now() + lifetimeMs };
  const outcome = await store.pass({ writes: [{ put: "ceremony", record, expect: absent }] });
  if (outcome === "conflict") throw new Error("a fresh challenge was already there");
}

/** The ceremony of this purpose, if it exists and is not past its time. */
export async function readCeremony(
  store: Store,
  id: string,
  purpose: Ceremony["purpose"],
): Promise<Held<"ceremony"> | undefined> {
  const held = await store.read("ceremony", id);
  return held?.record.purpose === purpose && store.now() < held.record.expiresAt ? held : undefined;
}

/** The write that uses it up. */
export function closeCeremony(held: Held<"ceremony">): Write<"ceremony"> {
  return { drop: "ceremony", id: held.record.id, expect: held.version };
}
