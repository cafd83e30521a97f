/**
 * A person signs in, with a passkey and nothing else. The cookie's secret is kept only as a hash. A session says who
 * is there and since when; it never says what they may do.
 */

import { toApproverActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import {
  type Assertion,
  createPasskeyRequestOptions,
  type RelyingParty,
  type RequestOptions,
  verifyPasskeyAssertion,
} from "../../crypto/passkey.ts";
import type { Mac } from "../../crypto/root-key.ts";
import { hashSecret, newSecret } from "../../crypto/secret.ts";
import type { Approver, Device, Session } from "../../domain/people/approver.ts";
import { absent, type Store } from "../../store/store.ts";
import { beginCeremony, ceremonyMs, computeChallenge, finishCeremony } from "./ceremony.ts";

export type SignedIn = { readonly secret: string; readonly session: Session; readonly approver: Approver };
export type SignInDeps = {
  readonly store: Store;
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
};
export type SignInRefused = { readonly refused: "bad_passkey" };

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
  const found = await store.read("session", hashSecret(secret));
  if (!found || store.now() >= found.record.expiresAt) return undefined;
  const approver = await store.read("approver", found.record.approver);
  return approver && { session: found.record, approver: approver.record };
}

export async function openSignIn({
  store,
  relyingParty,
  ceremonies,
}: SignInDeps): Promise<{ readonly ceremony: string; readonly options: RequestOptions }> {
  const ceremony = beginCeremony(ceremonies, store.now() + ceremonyMs, "sign-in");
  return {
    ceremony,
    options: await createPasskeyRequestOptions(relyingParty, [], computeChallenge(ceremony)),
  };
}

export async function signIn(
  { store, relyingParty, ceremonies }: SignInDeps,
  input: { readonly ceremony: string; readonly assertion: Assertion },
): Promise<SignedIn | SignInRefused> {
  const now = store.now();
  const used = finishCeremony(ceremonies, input.ceremony, now, "sign-in");
  const device = await store.read("device", input.assertion.id);
  const approver = device && (await store.read("approver", device.record.approver));
  if (!used || !device || !approver) return { refused: "bad_passkey" };
  const counter = await verifyPasskeyAssertion(
    relyingParty,
    input.assertion,
    computeChallenge(input.ceremony),
    device.record,
  );
  if (counter === undefined) return { refused: "bad_passkey" };
  const signedIn = openSession(approver.record, device.record, now);
  const outcome = await store.commit({
    writes: [
      used,
      { put: "device", record: { ...device.record, counter }, ifVersion: device.version },
      { put: "session", record: signedIn.session, ifVersion: absent },
    ],
    entries: [
      newEntry("approver.signed_in", now, {
        actor: toApproverActor(approver.record.id),
        approver: approver.record.id,
        facts: { credential: device.record.id, ...(device.record.test && { test: true }) },
      }),
    ],
  });
  return outcome === "committed" ? signedIn : { refused: "bad_passkey" };
}

export async function signOut(store: Store, session: Session): Promise<void> {
  const found = await store.read("session", session.id);
  if (found)
    await store.commitUnlogged({ writes: [{ delete: "session", id: session.id, ifVersion: found.version }] });
}
