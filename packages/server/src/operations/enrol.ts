/**
 * A person gets a device. The first by a one-time link that the operator hands over, further ones from a session that
 * exists already. The public key goes into the log, so that what it signs can be checked later by anybody.
 */
import { type Approver, type Device, lowerCase, type Session } from "../approver/approver.ts";
import {
  type Attestation,
  type CreationOptions,
  creationOptions,
  type RelyingParty,
  readAttestation,
} from "../approver/passkey.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";
import { ceremonyMs, challengeOf, closeCeremony, openCeremony, type Stamp } from "./ceremony.ts";
import { newEntry } from "./entry.ts";
import { newId } from "./id.ts";
import { hashSecret, newSecret } from "./secret.ts";
import { openSession, type SignedIn } from "./sign-in.ts";

export type EnrolGround = { readonly store: Store; readonly party: RelyingParty; readonly ceremonies: Stamp };
export type EnrolRefusal = "unknown_invitation" | "signed_out" | "bad_passkey";
export type Refused = { readonly refused: EnrolRefusal };

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
  const known = await store.approverByEmail(lowerCase(email));
  const approver = known ?? { id: newId("apr", now), email: lowerCase(email), name, createdAt: now };
  const invitation = {
    id: hashSecret(secret),
    approver: approver.id,
    ...mark,
    createdAt: now,
    expiresAt: now + invitationMs,
  };
  const outcome = await store.commit({
    writes: [
      ...(known ? [] : [{ put: "approver", record: approver, expect: absent } as const]),
      { put: "invitation", record: invitation, expect: absent },
    ],
    entries: [
      newEntry("approver.invited", now, {
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
export async function inviteMyself(
  store: Store,
  { id: sessionId, approver: approverId, device, test }: Session,
): Promise<{ readonly secret: string } | Refused> {
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
      { check: "session", id: sessionId, expect: session.version },
      { check: "approver", id: approverId, expect: approver.version },
      { put: "invitation", record: invitation, expect: absent },
    ],
    entries: [
      newEntry("approver.invited", now, {
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
): Promise<{ readonly held: Held<"invitation">; readonly approver: Approver } | Refused> {
  const held = await store.read("invitation", hashSecret(secret));
  if (!held || store.now() >= held.record.expiresAt) return { refused: "unknown_invitation" };
  const { device } = held.record;
  if (device !== undefined && !(await store.read("device", device))) return { refused: "unknown_invitation" };
  const approver = await store.read("approver", held.record.approver);
  return approver ? { held, approver: approver.record } : { refused: "unknown_invitation" };
}

/** Hands out the question for a new passkey. */
export async function openEnrolment(
  { store, party, ceremonies }: EnrolGround,
  approver: Approver,
): Promise<{ readonly ceremony: string; readonly options: CreationOptions }> {
  const ceremony = openCeremony(ceremonies, store.now() + ceremonyMs, "enrol", approver.id);
  const options = await creationOptions(
    party,
    approver,
    await store.devicesOf(approver.id),
    challengeOf(ceremony),
  );
  return { ceremony, options };
}

/** Takes the answer: the device, the used-up invitation, the session and the log entry are one write. */
export async function enrol(
  ground: EnrolGround,
  input: {
    readonly approver: Approver;
    readonly invitation?: Held<"invitation">;
    readonly ceremony: string;
    readonly attestation: Attestation;
    readonly name: string;
  },
): Promise<SignedIn | Refused> {
  const { store, party } = ground;
  const { approver, invitation } = input;
  const now = store.now();
  const used = closeCeremony(ground.ceremonies, input.ceremony, now, "enrol", approver.id);
  const proved = used && (await readAttestation(party, input.attestation, challengeOf(input.ceremony)));
  if (!proved) return { refused: "bad_passkey" };

  const test = invitation?.record.test;
  const name = input.name || "A device";
  const device: Device = { ...proved, approver: approver.id, name, ...(test && { test }), createdAt: now };
  const signedIn = openSession(approver, device, now);
  const writes: Write[] = [
    used,
    { put: "device", record: device, expect: absent },
    { put: "session", record: signedIn.session, expect: absent },
  ];
  if (invitation) writes.push({ drop: "invitation", id: invitation.record.id, expect: invitation.version });
  const askedOn = invitation?.record.device;
  if (askedOn !== undefined) {
    const still = await store.read("device", askedOn);
    if (!still) return { refused: "unknown_invitation" };
    writes.push({ check: "device", id: askedOn, expect: still.version });
  }
  const entry = newEntry("device.enrolled", now, {
    approver: approver.id,
    facts: {
      credential: device.id,
      public_key: device.publicKey,
      rp_id: party.rpId,
      origin: party.origin,
      ...(test && { test }),
    },
    texts: { name },
  });
  const outcome = await store.commit({ writes, entries: [entry] });
  return outcome === "committed" ? signedIn : { refused: invitation ? "unknown_invitation" : "bad_passkey" };
}
