/**
 * `decide`: an approver approves or denies a request. Authority, the displayed card and the strength of authentication are
 * checked at this moment against the stricter of the policy pinned by the request and the current one; the commit checks the
 * time again. A denial needs only a session; the same commit writes the denials that block the action.
 */
import { decisionChallenge, type JsonObject } from "@countersign/protocol";
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
import type { Directory } from "../../directory/directory.ts";
import type { Approver, Device, Session } from "../../domain/people/approver.ts";
import { hasFreshPasskey, passkeyAmr } from "../../domain/policy/level.ts";
import { selectDenyFields } from "../../domain/request/deny-key.ts";
import {
  type ApprovalRequest,
  approve,
  type Decision,
  deny,
  type RequestRefusal,
} from "../../domain/request/request.ts";
import { absent, type Outcome, type Store, type Versioned, type Write } from "../../store/store.ts";
import { traceWait } from "../../tracing/tracing.ts";
import { beginCeremony, finishCeremony } from "../people/ceremony.ts";
import { checkAuthority, getRequiredLevel, guardDenials, isDenied } from "./authorization.ts";
import { queueCallback } from "./callback-writes.ts";
import { checkIntegrity } from "./check-integrity.ts";
import { checkPermission, type PermissionCheck } from "./check-permission.ts";

export type DecideDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly directory: Directory;
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
  /** The external permission check, if one is configured. */
  readonly permission?: Source<PermissionCheck | undefined>;
};

export type DecideInput = {
  readonly requestId: string;
  readonly session: Session;
  readonly verdict: "approve" | "deny";
  /** The hash of the card that the form was rendered with. */
  readonly cardHash: string;
  readonly reason?: string;
  /** The channel whose link led to the card, from the form. For metrics only. */
  readonly channel?: string;
  /** For level `passkey-signed`: the ceremony's token and the browser's assertion. */
  readonly signed?: { readonly ceremony: string; readonly assertion: Assertion };
};

/**
 * `not_yours`: unknown request, or the approver is not a candidate. `signed_out`: the session ended, or the approver was
 * removed or deactivated, possibly while the form was being sent. `other_card`: the form displayed another card.
 * `no_authority`: the current policy, relations or permission check do not allow it. `sign_in_again`, `passkey_needed`,
 * `bad_passkey`: the authentication is too weak. `action_denied`: another request for the same action was denied meanwhile.
 * `unchecked`: the permission check is unavailable.
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
  | "action_denied"
  | "unchecked";
export type DecideRefused = { readonly refused: DecideRefusal };

/** Creates the passkey options for a signed approval. The challenge binds request, digest, card, approver and a nonce. */
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

/** Decides a request. If a record that was read changes before the commit, everything is read and checked again. */
export async function decide(deps: DecideDeps, input: DecideInput): Promise<ApprovalRequest | DecideRefused> {
  const policy = deps.policy.current();
  for (;;) {
    const resolved = await resolveDecision(deps, input);
    if ("refused" in resolved) return resolved;
    const result =
      input.verdict === "deny"
        ? await denyOnce(deps.store, policy, input, resolved)
        : await approveOnce({ ...deps, policy }, input, resolved);
    if ("refused" in result) return result;
    if ((await commitDecision(deps.store, resolved, result)) === "conflict") continue;
    traceWait(resolved.found.record, resolved.now, input.verdict);
    return result.next;
  }
}

/** What a decision is based on: the session and its approver as read now, and the request of the card. */
type ResolvedDecision = {
  readonly session: Session;
  readonly approver: Approver;
  readonly found: Versioned<"request">;
  /** Guards of session and approver: a removed device cannot decide. */
  readonly guards: readonly Write[];
  readonly now: number;
};

type DecisionResult = {
  readonly next: ApprovalRequest;
  readonly writes: readonly Write[];
  readonly entry: NewEntry;
};

/** Reads session, approver and request. Refuses an approver who is not a candidate, and a form that displayed another card. */
async function resolveDecision(
  { store, directory, policy }: DecideDeps,
  { session: { id, approver: approverId }, requestId, cardHash }: DecideInput,
): Promise<ResolvedDecision | DecideRefused> {
  const session = await store.read("session", id);
  const approver = await directory.findById(approverId);
  if (!session || !approver?.active || store.now() >= session.record.expiresAt)
    return { refused: "signed_out" };
  const found = await store.read("request", requestId);
  if (!found?.record.candidates.includes(approverId)) return { refused: "not_yours" };
  if (found.record.cardHash !== cardHash) return { refused: "other_card" };
  await checkIntegrity(store, found.record, policy.current());
  return {
    session: session.record,
    approver: approver.record,
    found,
    guards: [
      { check: "session", id, ifVersion: session.version },
      { check: "approver", id: approverId, ifVersion: approver.version },
    ],
    now: store.now(),
  };
}

async function denyOnce(
  store: Store,
  policy: Policy,
  input: DecideInput,
  { session, approver, found: { record: request }, now }: ResolvedDecision,
): Promise<DecisionResult | DecideRefused> {
  const { authenticatedAt, amr } = session;
  const reason = input.reason === undefined ? {} : { reason: input.reason };
  const decision: Decision = {
    approver: approver.id,
    at: now,
    authenticatedAt,
    amr,
    level: "session",
    ...reason,
  };
  const next = deny(request, decision, now);
  if ("refused" in next) return next;
  return {
    next,
    writes: await writeDenials(store, policy, request, now),
    entry: newEntry("request.denied", now, {
      ...toEntryMembers(request, approver, input),
      facts: toEntryFacts(request, session, input),
    }),
  };
}

async function approveOnce(
  deps: Omit<DecideDeps, "policy"> & { readonly policy: Policy },
  input: DecideInput,
  { session, approver, found: { record: request }, now }: ResolvedDecision,
): Promise<DecisionResult | DecideRefused> {
  const proof = await verifyDecision(deps, { signed: input.signed, session, approver }, request, now);
  if ("refused" in proof) return proof;
  const next = approve(request, { approver: approver.id, at: now, ...proof.authentication }, now);
  if ("refused" in next) return next;
  return {
    next,
    writes: proof.writes,
    entry: newEntry("request.approved", now, {
      ...toEntryMembers(request, approver, input),
      facts: { ...toEntryFacts(request, session, input), ...proof.facts },
    }),
  };
}

/** Commits the decision before the request closes, with the callback of a ping or push request. */
async function commitDecision(
  store: Store,
  { found: { record: request, version }, guards, now }: ResolvedDecision,
  { next, writes, entry }: DecisionResult,
): Promise<Outcome> {
  const callback = request.delivery === "poll" ? [] : await queueCallback(store, request, now);
  return await store.commit({
    notOnOrAfter: request.decideBy,
    writes: [{ put: "request", record: next, ifVersion: version }, ...guards, ...writes, ...callback],
    entries: [entry],
  });
}

function toEntryMembers(request: ApprovalRequest, approver: Approver, { reason }: DecideInput) {
  return {
    actor: toApproverActor(approver.id),
    request: request.id,
    agent: request.agent,
    approver: approver.id,
    digest: request.digest,
    texts: { reason },
  };
}

function toEntryFacts({ cardHash }: ApprovalRequest, { test }: Session, { channel }: DecideInput) {
  return {
    card_hash: cardHash,
    ...(channel !== undefined && { channel }),
    ...(test && { test: true }),
  };
}

type VerifiedDecision = {
  readonly authentication: Pick<Decision, "level" | "authenticatedAt" | "amr">;
  readonly writes: readonly Write[];
  readonly facts: JsonObject & { readonly level: string };
};

/** Checks that an approval is authorized now and authenticated at the required level. */
async function verifyDecision(
  deps: Omit<DecideDeps, "policy"> & { readonly policy: Policy },
  { approver, session, signed }: Pick<DecideInput, "session" | "signed"> & { readonly approver: Approver },
  request: ApprovalRequest,
  now: number,
): Promise<VerifiedDecision | DecideRefused> {
  const { store, policy } = deps;
  const level = getRequiredLevel(policy, request);
  const agent = await store.read("agent", request.agent);
  const authority = agent && (await checkAuthority(deps, agent.record, approver, request, now));
  if (!level || !authority) return { refused: "no_authority" };
  if (agent.record.paused) return { refused: "paused" };
  if (await isDenied(store, request.parts)) return { refused: "action_denied" };
  const guards: readonly Write[] = [
    { check: "agent", id: agent.record.id, ifVersion: agent.version },
    ...authority,
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
    if (level === "passkey" && !hasFreshPasskey(session, now)) return { refused: "sign_in_again" };
    const { authenticatedAt, amr } = session;
    return { authentication: { level, authenticatedAt, amr }, writes: guards, facts: { level } };
  }
  if (!signed) return { refused: "passkey_needed" };
  const usedCeremony = finishCeremony(
    deps.ceremonies,
    signed.ceremony,
    now,
    "decide",
    request.id,
    approver.id,
  );
  const device = await store.read("device", signed.assertion.id);
  if (!usedCeremony || device?.record.approver !== approver.id) return { refused: "bad_passkey" };
  const challenge = decisionChallengeOf(request, approver.id, signed.ceremony);
  const counter = await verifyPasskeyAssertion(deps.relyingParty, signed.assertion, challenge, device.record);
  if (counter === undefined) return { refused: "bad_passkey" };
  const record: Device = { ...device.record, counter };
  return {
    authentication: { level, authenticatedAt: now, amr: passkeyAmr },
    writes: [...guards, usedCeremony, { put: "device", record, ifVersion: device.version }],
    facts: { level, evidence: collectEvidence(signed.assertion, signed.ceremony) },
  };
}

/** Returns the facts that verify the signature offline, together with the public key in the enrolment's log entry. */
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

/** Returns the denials to write, one for each part. An existing denial with the same key is kept. */
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
