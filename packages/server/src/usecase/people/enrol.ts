/**
 * Enrols devices of approvers: the first with a one-time link from the operator, further ones with a link from a session. The
 * log entry contains the public key, so that signed decisions can be verified offline.
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
import type { Directory } from "../../directory/directory.ts";
import { newId } from "../../domain/id.ts";
import { type Approver, type Device, normalizeEmail, type Session } from "../../domain/people/approver.ts";
import { passkeyAuthentication } from "../../domain/policy/level.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { beginCeremony, ceremonyMs, computeChallenge, finishCeremony } from "./ceremony.ts";
import { newSession, type SignedIn } from "./session.ts";

/** Dependencies of everything that reads or changes approvers. */
export type PeopleDeps = { readonly store: Store; readonly directory: Directory };
export type EnrolDeps = PeopleDeps & {
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
};
export type EnrolRefusal = "unknown_invitation" | "signed_out" | "bad_passkey";
export type EnrolRefused = { readonly refused: EnrolRefusal };

/** Lifetime of the operator's link: 7 days. */
const invitationMs = 7 * 24 * 3_600_000;
/** Lifetime of a link for a further device: 15 minutes. */
const ownInvitationMs = 15 * 60_000;

/**
 * Creates an enrolment link, and the approver if the address is new. A known approver gets a link for a further or a
 * replacement device. Returns the secret of the link, which is stored as a hash. `mark.test` is for automated devices.
 */
export async function invite(
  { store, directory }: PeopleDeps,
  email: string,
  name: string,
  mark: { readonly test?: true } = {},
): Promise<{ secret: string; approver: Approver }> {
  const secret = newSecret();
  const now = store.now();
  const known = await directory.findByEmail(normalizeEmail(email));
  const approver = known?.record ?? {
    id: newId("apr", now),
    email: normalizeEmail(email),
    name,
    createdAt: now,
  };
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
    throw new Error("the approver was invited by another command at the same time; try again");
  return { secret, approver };
}

/**
 * Creates a link for a further device of the signed-in approver. It creates no approver, and becomes invalid if the device of
 * the session is removed. `signed_out`: the session ended, or the approver was removed or deactivated.
 */
export async function inviteSelf(
  { store, directory }: PeopleDeps,
  { id: sessionId, approver: approverId, device, test }: Session,
): Promise<{ readonly secret: string } | EnrolRefused> {
  const session = await store.read("session", sessionId);
  const approver = await directory.findById(approverId);
  if (!session || !approver?.active) return { refused: "signed_out" };
  const secret = newSecret();
  const now = store.now();
  const { email, name } = approver.record;
  const invitation = {
    id: hashSecret(secret),
    approver: approverId,
    ...(device !== undefined && { device }),
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
        ...(device !== undefined && { facts: { credential: device } }),
        texts: { email, name },
      }),
    ],
  });
  return outcome === "committed" ? { secret } : { refused: "signed_out" };
}

/** Finds an invitation by the secret of its link, with its approver. Refuses one that is unknown, used or expired. */
export async function readInvitation(
  { store, directory }: PeopleDeps,
  secret: string,
): Promise<{ readonly found: Versioned<"invitation">; readonly approver: Approver } | EnrolRefused> {
  const found = await store.read("invitation", hashSecret(secret));
  if (!found || store.now() >= found.record.expiresAt) return { refused: "unknown_invitation" };
  const { device } = found.record;
  if (device !== undefined && !(await store.read("device", device))) return { refused: "unknown_invitation" };
  const approver = await directory.findById(found.record.approver);
  return approver?.active ? { found, approver: approver.record } : { refused: "unknown_invitation" };
}

/** Begins the ceremony that creates a passkey. Writes nothing. */
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

/** Finishes the ceremony: the device, the used invitation, the session and the log entry are one write. */
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
  const usedCeremony = finishCeremony(deps.ceremonies, input.ceremony, now, "enrol", approver.id);
  const credential =
    usedCeremony &&
    (await verifyPasskeyAttestation(relyingParty, input.attestation, computeChallenge(input.ceremony)));
  if (!credential) return { refused: "bad_passkey" };

  const test = invitation?.record.test;
  const name = input.name || "A device";
  const device: Device = {
    ...credential,
    approver: approver.id,
    name,
    ...(test && { test }),
    createdAt: now,
  };
  const authentication = {
    ...passkeyAuthentication,
    authenticatedAt: now,
    device: device.id,
    ...(test && { test }),
  };
  const signedIn = newSession({ approver, ...authentication }, now);
  const writes: Write[] = [
    usedCeremony,
    { put: "device", record: device, ifVersion: absent },
    { put: "session", record: signedIn.session, ifVersion: absent },
  ];
  if (invitation)
    writes.push({ delete: "invitation", id: invitation.record.id, ifVersion: invitation.version });
  const invitingDevice = invitation?.record.device;
  if (invitingDevice !== undefined) {
    const found = await store.read("device", invitingDevice);
    if (!found) return { refused: "unknown_invitation" };
    writes.push({ check: "device", id: invitingDevice, ifVersion: found.version });
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
