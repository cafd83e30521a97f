/**
 * A person signs in, with a passkey and nothing else. The cookie's secret is kept only as a hash. A session says who
 * is there and since when; it never says what they may do.
 */
import type { Approver, Device, Session } from "../approver/approver.ts";
import {
  type Assertion,
  type RelyingParty,
  type RequestOptions,
  readAssertion,
  requestOptions,
} from "../approver/passkey.ts";
import { absent, type Store } from "../store/store.ts";
import { ceremonyMs, challengeOf, closeCeremony, openCeremony, type Stamp } from "./ceremony.ts";
import { newEntry } from "./entry.ts";
import { hashSecret, newSecret } from "./secret.ts";

export type SignedIn = { readonly secret: string; readonly session: Session; readonly approver: Approver };
export type SignInGround = {
  readonly store: Store;
  readonly party: RelyingParty;
  readonly ceremonies: Stamp;
};
export type Refused = { readonly refused: "bad_passkey" };

/** A working day. */
export const sessionMs = 12 * 3_600_000;

export function openSession(approver: Approver, { id: device, test }: Device, now: number): SignedIn {
  const secret = newSecret();
  return {
    secret,
    approver,
    session: {
      id: hashSecret(secret),
      approver: approver.id,
      device,
      ...(test && { test }),
      authenticatedAt: now,
      expiresAt: now + sessionMs,
    },
  };
}

export async function readSession(
  store: Store,
  secret: string,
): Promise<{ readonly session: Session; readonly approver: Approver } | undefined> {
  const held = await store.read("session", hashSecret(secret));
  if (!held || store.now() >= held.record.expiresAt) return undefined;
  const approver = await store.read("approver", held.record.approver);
  return approver && { session: held.record, approver: approver.record };
}

export async function openSignIn({
  store,
  party,
  ceremonies,
}: SignInGround): Promise<{ readonly ceremony: string; readonly options: RequestOptions }> {
  const ceremony = openCeremony(ceremonies, store.now() + ceremonyMs, "sign-in");
  return { ceremony, options: await requestOptions(party, [], challengeOf(ceremony)) };
}

export async function signIn(
  { store, party, ceremonies }: SignInGround,
  input: { readonly ceremony: string; readonly assertion: Assertion },
): Promise<SignedIn | Refused> {
  const now = store.now();
  const used = closeCeremony(ceremonies, input.ceremony, now, "sign-in");
  const device = await store.read("device", input.assertion.id);
  const approver = device && (await store.read("approver", device.record.approver));
  if (!used || !device || !approver) return { refused: "bad_passkey" };
  const counter = await readAssertion(party, input.assertion, challengeOf(input.ceremony), device.record);
  if (counter === undefined) return { refused: "bad_passkey" };
  const signedIn = openSession(approver.record, device.record, now);
  const outcome = await store.commit({
    writes: [
      used,
      { put: "device", record: { ...device.record, counter }, expect: device.version },
      { put: "session", record: signedIn.session, expect: absent },
    ],
    entries: [
      newEntry("approver.signed_in", now, {
        approver: approver.record.id,
        facts: { credential: device.record.id, ...(device.record.test && { test: true }) },
      }),
    ],
  });
  return outcome === "committed" ? signedIn : { refused: "bad_passkey" };
}

export async function signOut(store: Store, session: Session): Promise<void> {
  const held = await store.read("session", session.id);
  if (held) await store.pass({ writes: [{ drop: "session", id: session.id, expect: held.version }] });
}
