/**
 * A person gets a device. The first by a one-time link that the operator hands over, further ones from a session that
 * exists already. The public key goes into the log, so that what it signs can be checked later by anybody.
 */

import { operator, toApproverActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import {
  type Attestation,
  type CreationOptions,
  createPasskeyCreationOptions,
  type RelyingParty,
  verifyPasskeyAttestation,
} from "../../crypto/passkey.ts";
import type { Mac } from "../../crypto/root-key.ts";
import { hashSecret, newSecret } from "../../crypto/secret.ts";
import { newId } from "../../domain/id.ts";
import { type Approver, type Device, normalizeEmail, type Session } from "../../domain/people/approver.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { beginCeremony, ceremonyMs, computeChallenge, finishCeremony } from "./ceremony.ts";
import { openSession, type SignedIn } from "./sign-in.ts";

export type EnrolDeps = {
  readonly store: Store;
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
};
export type EnrolRefusal = "unknown_invitation" | "signed_out" | "bad_passkey";
export type EnrolRefused = { readonly refused: EnrolRefusal };

/** How long the operator's link may lie in somebody's mail. */
const invitationMs = 7 * 24 * 3_600_000;
/** How long one's own may take to be opened on the other device. */
const ownInvitationMs = 15 * 60_000;

/**
 * Invites a person, who becomes an approver by it. Inviting someone again gives a new link, for a further or a lost
 * device. Answers the secret of the link, which is kept only as a hash. `mark` says that no person will hold the device.
 */
export async function invite(
  store: Store,
  email: string,
  name: string,
  mark: { readonly test?: true } = {},
): Promise<{ secret: string; approver: Approver }> {
  const secret = newSecret();
  const now = store.now();
  const known = await store.findApproverByEmail(normalizeEmail(email));
  const approver = known ?? { id: newId("apr", now), email: normalizeEmail(email), name, createdAt: now };
  const invitation = {
    id: hashSecret(secret),
    approver: approver.id,
    ...mark,
    createdAt: now,
    expiresAt: now + invitationMs,
  };
  const outcome = await store.commit({
    writes: [
      ...(known ? [] : [{ put: "approver", record: approver, ifVersion: absent } as const]),
      { put: "invitation", record: invitation, ifVersion: absent },
    ],
    entries: [
      newEntry("approver.invited", now, {
        actor: operator,
        approver: approver.id,
        ...(mark.test && { facts: { ...mark } }),
        texts: { email: approver.email, name: approver.name },
      }),
    ],
  });
  if (outcome === "conflict")
    throw new Error("the approver was invited by somebody else at this moment; try again");
  return { secret, approver };
}

/**
 * A link for a further device of one's own. Nobody becomes an approver by it, and it is worth nothing once the device
 * that it was asked for on is gone. `signed_out`: the session, or the person, is not there any more.
 */
export async function inviteSelf(
  store: Store,
  { id: sessionId, approver: approverId, device, test }: Session,
): Promise<{ readonly secret: string } | EnrolRefused> {
  const session = await store.read("session", sessionId);
  const approver = await store.read("approver", approverId);
  if (!session || !approver) return { refused: "signed_out" };
  const secret = newSecret();
  const now = store.now();
  const { email, name } = approver.record;
  const invitation = {
    id: hashSecret(secret),
    approver: approverId,
    device,
    ...(test && { test }),
    createdAt: now,
    expiresAt: now + ownInvitationMs,
  };
  const outcome = await store.commit({
    writes: [
      { check: "session", id: sessionId, ifVersion: session.version },
      { check: "approver", id: approverId, ifVersion: approver.version },
      { put: "invitation", record: invitation, ifVersion: absent },
    ],
    entries: [
      newEntry("approver.invited", now, {
        actor: toApproverActor(approverId),
        approver: approverId,
        facts: { credential: device },
        texts: { email, name },
      }),
    ],
  });
  return outcome === "committed" ? { secret } : { refused: "signed_out" };
}

export async function readInvitation(
  store: Store,
  secret: string,
): Promise<{ readonly found: Versioned<"invitation">; readonly approver: Approver } | EnrolRefused> {
  const found = await store.read("invitation", hashSecret(secret));
  if (!found || store.now() >= found.record.expiresAt) return { refused: "unknown_invitation" };
  const { device } = found.record;
  if (device !== undefined && !(await store.read("device", device))) return { refused: "unknown_invitation" };
  const approver = await store.read("approver", found.record.approver);
  return approver ? { found, approver: approver.record } : { refused: "unknown_invitation" };
}

/** Hands out the question for a new passkey. */
export async function openEnrolment(
  { store, relyingParty, ceremonies }: EnrolDeps,
  approver: Approver,
): Promise<{ readonly ceremony: string; readonly options: CreationOptions }> {
  const ceremony = beginCeremony(ceremonies, store.now() + ceremonyMs, "enrol", approver.id);
  const options = await createPasskeyCreationOptions(
    relyingParty,
    approver,
    await store.listDevicesOf(approver.id),
    computeChallenge(ceremony),
  );
  return { ceremony, options };
}

/** Takes the answer: the device, the used-up invitation, the session and the log entry are one write. */
export async function enrol(
  deps: EnrolDeps,
  input: {
    readonly approver: Approver;
    readonly invitation?: Versioned<"invitation">;
    readonly ceremony: string;
    readonly attestation: Attestation;
    readonly name: string;
  },
): Promise<SignedIn | EnrolRefused> {
  const { store, relyingParty } = deps;
  const { approver, invitation } = input;
  const now = store.now();
  const used = finishCeremony(deps.ceremonies, input.ceremony, now, "enrol", approver.id);
  const proved =
    used &&
    (await verifyPasskeyAttestation(relyingParty, input.attestation, computeChallenge(input.ceremony)));
  if (!proved) return { refused: "bad_passkey" };

  const test = invitation?.record.test;
  const name = input.name || "A device";
  const device: Device = { ...proved, approver: approver.id, name, ...(test && { test }), createdAt: now };
  const signedIn = openSession(approver, device, now);
  const writes: Write[] = [
    used,
    { put: "device", record: device, ifVersion: absent },
    { put: "session", record: signedIn.session, ifVersion: absent },
  ];
  if (invitation)
    writes.push({ delete: "invitation", id: invitation.record.id, ifVersion: invitation.version });
  const askedOn = invitation?.record.device;
  if (askedOn !== undefined) {
    const still = await store.read("device", askedOn);
    if (!still) return { refused: "unknown_invitation" };
    writes.push({ check: "device", id: askedOn, ifVersion: still.version });
  }
  const entry = newEntry("device.enrolled", now, {
    actor: toApproverActor(approver.id),
    approver: approver.id,
    facts: {
      credential: device.id,
      public_key: device.publicKey,
      rp_id: relyingParty.rpId,
      origin: relyingParty.origin,
      ...(test && { test }),
    },
    texts: { name },
  });
  const outcome = await store.commit({ writes, entries: [entry] });
  return outcome === "committed" ? signedIn : { refused: invitation ? "unknown_invitation" : "bad_passkey" };
}
