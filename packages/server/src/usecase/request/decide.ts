/**
 * A person decides. The approver's authority, the card they saw and the strength of their proof are checked at this
 * instant, against the stricter of the rules pinned by the request and those in force; time is checked again inside
 * the commit. A denial needs only a session, and latches the action in the same commit.
 */

import { type AuthenticationLevel, decisionChallenge, type JsonObject } from "@countersign/protocol";
import { toApproverActor } from "../../audit/actor.ts";
import { type NewEntry, newEntry } from "../../audit/new-entry.ts";
import type { PolicySource, Source } from "../../config/policy.ts";
import type { Policy } from "../../config/sections.ts";
import {
  type Assertion,
  createPasskeyRequestOptions,
  type RelyingParty,
  type RequestOptions,
  verifyPasskeyAssertion,
} from "../../crypto/passkey.ts";
import type { Mac } from "../../crypto/root-key.ts";
import type { Approver, Device, Session } from "../../domain/people/approver.ts";
import { freshPasskeyMs, passkeyAmr } from "../../domain/policy/level.ts";
import { selectDenyFields } from "../../domain/request/deny-key.ts";
import {
  type ApprovalRequest,
  approve,
  type Decision,
  deny,
  type RequestRefusal,
} from "../../domain/request/request.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { traceWait } from "../../tracing/tracing.ts";
import { beginCeremony, finishCeremony } from "../people/ceremony.ts";
import { getRequiredLevel, guardDenials, isDenied, mayApprove } from "./authorization.ts";
import { queueCallback } from "./callback-writes.ts";
import { checkPermission, type PermissionCheck } from "./check-permission.ts";

export type DecideDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
  /** A check outside this server, where there is one. */
  readonly permission?: Source<PermissionCheck | undefined>;
};

export type DecideInput = {
  readonly requestId: string;
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
  | RequestRefusal
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
export type DecideRefused = { readonly refused: DecideRefusal };

/** The passkey question whose answer signs "approve": bound to request, digest, card, approver and a nonce of its own. */
export async function beginDecision(
  { store, relyingParty, ceremonies }: DecideDeps,
  request: ApprovalRequest,
  approver: Approver,
): Promise<{ readonly ceremony: string; readonly options: RequestOptions }> {
  const ceremony = beginCeremony(ceremonies, request.decideBy, "decide", request.id, approver.id);
  const devices = await store.listDevicesOf(approver.id);
  return {
    ceremony,
    options: await createPasskeyRequestOptions(
      relyingParty,
      devices,
      decisionChallengeOf(request, approver.id, ceremony),
    ),
  };
}

function decisionChallengeOf(request: ApprovalRequest, approver: string, nonce: string): string {
  const { id, digest, cardHash } = request;
  return decisionChallenge({ request: id, digest, card: cardHash, verdict: "approve", approver, nonce });
}

export async function decide(deps: DecideDeps, input: DecideInput): Promise<ApprovalRequest | DecideRefused> {
  const { store } = deps;
  const policy = deps.policy.current();
  const { approver, session, verdict, channel } = input;
  for (;;) {
    const present = await guardSession(store, session);
    if ("refused" in present) return present;
    const found = await store.read("request", input.requestId);
    if (!found?.record.candidates.includes(approver.id)) return { refused: "not_yours" };
    const request = found.record;
    if (request.cardHash !== input.cardHash) return { refused: "other_card" };
    const now = store.now();

    const decision = {
      approver: approver.id,
      at: now,
      authenticatedAt: session.authenticatedAt,
      amr: passkeyAmr,
    };
    const writes: Write[] = [];
    let next: ApprovalRequest | { refused: RequestRefusal };
    let entry: NewEntry;
    const about = {
      actor: toApproverActor(approver.id),
      request: request.id,
      agent: request.agent,
      approver: approver.id,
      digest: request.digest,
      texts: { reason: input.reason },
    };
    const shared = {
      card_hash: request.cardHash,
      ...(channel !== undefined && { channel }),
      ...(session.test && { test: true }),
    };
    if (verdict === "deny") {
      const reason = input.reason === undefined ? {} : { reason: input.reason };
      next = deny(request, { ...decision, level: "session", ...reason }, now);
      writes.push(...(await writeDenials(store, policy, request, now)));
      entry = newEntry("request.denied", now, { ...about, facts: shared });
    } else {
      const proof = await verifyDecision(deps, policy, input, found, now);
      if ("refused" in proof) return proof;
      writes.push(...proof.writes);
      entry = newEntry("request.approved", now, { ...about, facts: { ...shared, ...proof.facts } });
      const proved: Decision = { ...decision, level: proof.level, authenticatedAt: proof.authenticatedAt };
      next = approve(request, proved, now);
    }
    if ("refused" in next) return next;
    writes.push(...(await queueCallback(store, request, now)));

    const outcome = await store.commit({
      notOnOrAfter: request.decideBy,
      writes: [{ put: "request", record: next, ifVersion: found.version }, ...present.writes, ...writes],
      entries: [entry],
    });
    if (outcome === "committed") {
      traceWait(request, now, verdict);
      return next;
    }
    // Somebody else decided, the clock did, or the session, device or agent changed: look again.
  }
}

/** That the session and its approver are there, as guards of the decision: a lost phone decides nothing once removed. */
async function guardSession(
  store: Store,
  { id, approver }: Session,
): Promise<{ readonly writes: readonly Write[] } | DecideRefused> {
  const session = await store.read("session", id);
  const person = await store.read("approver", approver);
  if (!session || !person || store.now() >= session.record.expiresAt) return { refused: "signed_out" };
  return {
    writes: [
      { check: "session", id, ifVersion: session.version },
      { check: "approver", id: approver, ifVersion: person.version },
    ],
  };
}

type VerifiedDecision = {
  readonly level: AuthenticationLevel;
  readonly authenticatedAt: number;
  readonly writes: readonly Write[];
  readonly facts: JsonObject & { readonly level: string };
};

async function verifyDecision(
  deps: DecideDeps,
  policy: Policy,
  { approver, session, signed }: DecideInput,
  { record: request }: Versioned<"request">,
  now: number,
): Promise<VerifiedDecision | DecideRefused> {
  const { store } = deps;
  const level = getRequiredLevel(policy, request);
  const agent = await store.read("agent", request.agent);
  if (!agent || !level || !mayApprove(policy, agent.record, approver, request))
    return { refused: "no_authority" };
  if (agent.record.paused) return { refused: "paused" };
  if (await isDenied(store, request.parts)) return { refused: "latched" };
  const still: readonly Write[] = [
    { check: "agent", id: agent.record.id, ifVersion: agent.version },
    ...guardDenials(request.parts),
  ];

  const permission = deps.permission?.current();
  if (permission) {
    const { audience, parts } = request;
    const allowed = await checkPermission(permission, { agent: agent.record.id, audience, parts }, [
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
  const used = finishCeremony(deps.ceremonies, signed.ceremony, now, "decide", request.id, approver.id);
  const device = await store.read("device", signed.assertion.id);
  if (!used || device?.record.approver !== approver.id) return { refused: "bad_passkey" };
  const challenge = decisionChallengeOf(request, approver.id, signed.ceremony);
  const counter = await verifyPasskeyAssertion(deps.relyingParty, signed.assertion, challenge, device.record);
  if (counter === undefined) return { refused: "bad_passkey" };
  const answered: Device = { ...device.record, counter };
  return {
    level,
    authenticatedAt: now,
    writes: [...still, used, { put: "device", record: answered, ifVersion: device.version }],
    facts: { level, evidence: collectEvidence(signed.assertion, signed.ceremony) },
  };
}

/** What a stranger needs, beside the enrolment entry's public key, to check the signature again. */
function collectEvidence({ id, response }: Assertion, nonce: string): JsonObject {
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
async function writeDenials(
  store: Store,
  { actions }: Policy,
  request: ApprovalRequest,
  now: number,
): Promise<Write[]> {
  const { agent, parts } = request;
  const writes = new Map<string, Write>();
  for (const { denyKey: id, type, bound } of parts) {
    const before = await store.read("denial", id);
    const definition = actions.get(type)?.definition;
    const fields = definition ? selectDenyFields(definition, bound) : bound;
    const record = { id, agent, type, fields, requestId: request.id, deniedAt: now };
    writes.set(
      id,
      before
        ? { check: "denial", id, ifVersion: before.version }
        : { put: "denial", record, ifVersion: absent },
    );
  }
  return [...writes.values()];
}
