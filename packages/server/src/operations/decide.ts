/**
 * A person decides. The approver's authority, the card they saw and the strength of their proof are checked at this
 * instant, against the stricter of the rules pinned by the request and those in force; time is checked again inside
 * the commit. A denial needs only a session, and latches the action in the same commit.
 */
import { type AuthenticationLevel, decisionChallenge, type JsonObject } from "@countersign/protocol";
import { type Approval, type ApprovalRefusal, approve, type Decision, deny } from "../approval/approval.ts";
import { subjectOf } from "../approval/latch.ts";
import type { Approver, Device, Session } from "../approver/approver.ts";
import { freshPasskeyMs, passkeyAmr } from "../approver/level.ts";
import {
  type Assertion,
  type RelyingParty,
  type RequestOptions,
  readAssertion,
  requestOptions,
} from "../approver/passkey.ts";
import type { Config } from "../config/config.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";
import { isLatched, levelNow, mayApprove, noLatch } from "./authority.ts";
import { announced } from "./callback.ts";
import { closeCeremony, openCeremony, type Stamp } from "./ceremony.ts";
import { newEntry } from "./entry.ts";
import { type Permission, permitted } from "./permission.ts";
import { traceWait } from "./trace.ts";

export type DecideGround = {
  readonly store: Store;
  readonly config: Config;
  readonly party: RelyingParty;
  readonly ceremonies: Stamp;
  /** A check outside this server, where there is one. */
  readonly permission?: Permission | undefined;
};

export type DecideInput = {
  readonly approvalId: string;
  readonly session: Session;
  readonly approver: Approver;
  readonly verdict: "approve" | "deny";
  /** The hash of the card that the form was rendered with. */
  readonly cardHash: string;
  readonly reason?: string;
  /** The channel whose link led to the card, as its form says; for counting, and nothing depends on it. */
  readonly channel?: string;
  /** For a signed approval: the ceremony's token and the browser's answer. */
  readonly signed?: { readonly ceremony: string; readonly assertion: Assertion };
};

/**
 * `not_yours`: unknown, or somebody else's to decide. `signed_out`: the session, or the person, is not there any more,
 * whatever it was when the form began to arrive. `other_card`: the form showed another card. `no_authority`: the
 * rules in force do not allow it any more. `sign_in_again`, `passkey_needed`, `bad_passkey`: the proof is too weak.
 * `latched`: the same action, under other terms, was denied meanwhile. `unchecked`: the permission check did not answer.
 */
export type DecideRefusal =
  | ApprovalRefusal
  | "not_yours"
  | "signed_out"
  | "other_card"
  | "no_authority"
  | "sign_in_again"
  | "passkey_needed"
  | "bad_passkey"
  | "paused"
  | "latched"
  | "unchecked";
export type Refused = { readonly refused: DecideRefusal };

/** The passkey question whose answer signs "approve": bound to request, digest, card, approver and a nonce of its own. */
export async function openDecision(
  { store, party, ceremonies }: DecideGround,
  approval: Approval,
  approver: Approver,
): Promise<{ readonly ceremony: string; readonly options: RequestOptions }> {
  const ceremony = openCeremony(ceremonies, approval.decideBy, "decide", approval.id, approver.id);
  const devices = await store.devicesOf(approver.id);
  return {
    ceremony,
    options: await requestOptions(party, devices, challengeOf(approval, approver.id, ceremony)),
  };
}

function challengeOf(approval: Approval, approver: string, nonce: string): string {
  const { id, digest, cardHash } = approval;
  return decisionChallenge({ request: id, digest, card: cardHash, verdict: "approve", approver, nonce });
}

export async function decide(ground: DecideGround, input: DecideInput): Promise<Approval | Refused> {
  const { store, config } = ground;
  const { approver, session, verdict, channel } = input;
  for (;;) {
    const present = await presence(store, session);
    if ("refused" in present) return present;
    const held = await store.read("approval", input.approvalId);
    if (!held?.record.candidates.includes(approver.id)) return { refused: "not_yours" };
    const approval = held.record;
    if (approval.cardHash !== input.cardHash) return { refused: "other_card" };
    const now = store.now();

    const decision = {
      approver: approver.id,
      at: now,
      authenticatedAt: session.authenticatedAt,
      amr: passkeyAmr,
    };
    const writes: Write[] = [];
    let next: Approval | { refused: ApprovalRefusal };
    let facts: JsonObject = {};
    if (verdict === "deny") {
      const reason = input.reason === undefined ? {} : { reason: input.reason };
      next = deny(approval, { ...decision, level: "session", ...reason }, now);
      writes.push(...(await latched(store, config, approval, now)));
    } else {
      const proof = await prove(ground, input, held, now);
      if ("refused" in proof) return proof;
      writes.push(...proof.writes);
      facts = proof.facts;
      const proved: Decision = { ...decision, level: proof.level, authenticatedAt: proof.authenticatedAt };
      next = approve(approval, proved, now);
    }
    if ("refused" in next) return next;
    writes.push(...(await announced(store, approval, now)));

    const outcome = await store.commit({
      before: approval.decideBy,
      writes: [{ put: "approval", record: next, expect: held.version }, ...present.writes, ...writes],
      entries: [
        newEntry(verdict === "deny" ? "request.denied" : "request.approved", now, {
          request: approval.id,
          agent: approval.agent,
          approver: approver.id,
          digest: approval.digest,
          facts: {
            card_hash: approval.cardHash,
            ...(channel !== undefined && { channel }),
            ...facts,
            ...(session.test && { test: true }),
          },
          texts: { reason: input.reason },
        }),
      ],
    });
    if (outcome === "committed") {
      traceWait(approval, now, verdict);
      return next;
    }
    // Somebody else decided, the clock did, or the session, device or agent changed: look again.
  }
}

/** That the session and its approver are there, as guards of the decision: a lost phone decides nothing once removed. */
async function presence(
  store: Store,
  { id, approver }: Session,
): Promise<{ readonly writes: readonly Write[] } | Refused> {
  const session = await store.read("session", id);
  const person = await store.read("approver", approver);
  if (!session || !person || store.now() >= session.record.expiresAt) return { refused: "signed_out" };
  return {
    writes: [
      { check: "session", id, expect: session.version },
      { check: "approver", id: approver, expect: person.version },
    ],
  };
}

type Proof = {
  readonly level: AuthenticationLevel;
  readonly authenticatedAt: number;
  readonly writes: readonly Write[];
  readonly facts: JsonObject;
};

async function prove(
  ground: DecideGround,
  { approver, session, signed }: DecideInput,
  { record: approval }: Held<"approval">,
  now: number,
): Promise<Proof | Refused> {
  const { store, config } = ground;
  const level = levelNow(config, approval);
  const agent = await store.read("agent", approval.agent);
  if (!agent || !level || !mayApprove(config, agent.record, approver, approval))
    return { refused: "no_authority" };
  if (agent.record.paused) return { refused: "paused" };
  if (await isLatched(store, approval.parts)) return { refused: "latched" };
  const still: readonly Write[] = [
    { check: "agent", id: agent.record.id, expect: agent.version },
    ...noLatch(approval.parts),
  ];

  if (ground.permission) {
    const { audience, parts } = approval;
    const allowed = await permitted(ground.permission, { agent: agent.record.id, audience, parts }, [
      approver,
    ]);
    if ("refused" in allowed)
      return { refused: allowed.refused === "access_denied" ? "no_authority" : "unchecked" };
  }

  if (level !== "passkey-signed") {
    if (level === "passkey" && now >= session.authenticatedAt + freshPasskeyMs)
      return { refused: "sign_in_again" };
    return { level, authenticatedAt: session.authenticatedAt, writes: still, facts: { level } };
  }
  if (!signed) return { refused: "passkey_needed" };
  const used = closeCeremony(ground.ceremonies, signed.ceremony, now, "decide", approval.id, approver.id);
  const device = await store.read("device", signed.assertion.id);
  if (!used || device?.record.approver !== approver.id) return { refused: "bad_passkey" };
  const challenge = challengeOf(approval, approver.id, signed.ceremony);
  const counter = await readAssertion(ground.party, signed.assertion, challenge, device.record);
  if (counter === undefined) return { refused: "bad_passkey" };
  const answered: Device = { ...device.record, counter };
  return {
    level,
    authenticatedAt: now,
    writes: [...still, used, { put: "device", record: answered, expect: device.version }],
    facts: { level, evidence: evidence(signed.assertion, signed.ceremony) },
  };
}

/** What a stranger needs, beside the enrolment entry's public key, to check the signature again. */
function evidence({ id, response }: Assertion, nonce: string): JsonObject {
  const { clientDataJSON, authenticatorData, signature } = response;
  return {
    credential: id,
    nonce,
    client_data: clientDataJSON,
    authenticator_data: authenticatorData,
    signature,
  };
}

/** The latches of a denial, one for each part. An earlier one of the same key stays as it is. */
async function latched(store: Store, config: Config, approval: Approval, now: number): Promise<Write[]> {
  const { agent, parts } = approval;
  const writes = new Map<string, Write>();
  for (const { latchKey: id, type, bound } of parts) {
    const before = await store.read("latch", id);
    const definition = config.actions.get(type)?.definition;
    const subject = definition ? subjectOf(definition, bound) : bound;
    const record = { id, agent, type, subject, approval: approval.id, deniedAt: now };
    writes.set(
      id,
      before ? { check: "latch", id, expect: before.version } : { put: "latch", record, expect: absent },
    );
  }
  return [...writes.values()];
}
