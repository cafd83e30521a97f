/**
 * The agent's token request: how its ask stands, and, once, the token. The token is signed first and becomes valid in
 * the same commit that ends the approval; of any number of concurrent requests one commit wins and the others see a
 * redeemed approval. If we crash after the commit and before the answer, the token is lost, not doubled.
 */

import type { JsonObject } from "@countersign/protocol";
import { type Approval, type Decision, redeem as redeemed, stateAt } from "../approval/approval.ts";
import { acrOf, stricter } from "../approver/level.ts";
import { mayDecide } from "../approver/rule.ts";
import type { Config } from "../config/config.ts";
import { absent, type Held, type Store } from "../store/store.ts";
import { detailsOf, hashToken, type Token } from "../token/token.ts";
import { newEntry } from "./entry.ts";
import { newId } from "./id.ts";
import type { Pace } from "./pace.ts";

/** Signs JWTs with the newest active key. Declared here, built in `keys/`. */
export interface Signer {
  /** `typ: at+jwt` (RFC 9068). Claims in wire spelling; `iss` is added. */
  accessToken(claims: Record<string, unknown>): Promise<string>;
  idToken(claims: Record<string, unknown>): Promise<string>;
}

export type RedeemGround = {
  readonly store: Store;
  readonly config: Config;
  readonly signer: Signer;
  readonly pace: Pace;
  /** `open` answers which approval an `auth_req_id` of this agent stands for, or undefined for anything else. */
  readonly tickets: { readonly open: (authReqId: string, agentId: string) => string | undefined };
};

export type Grant = {
  readonly accessToken: string;
  readonly idToken: string;
  readonly expiresInSeconds: number;
  readonly scope: string;
  readonly details: readonly JsonObject[] | undefined;
};

export type RedeemRefusal =
  | "authorization_pending"
  | "slow_down"
  | "too_fast"
  | "access_denied"
  | "expired_token"
  | "invalid_target"
  | "invalid_grant";
export type Refused = { readonly refused: RedeemRefusal; readonly denialReason?: string };

/** `resource` is where the agent means to use the token, if it says so: another API than the approved one gets none. */
export async function redeem(
  ground: RedeemGround,
  agent: Held<"agent">,
  authReqId: string,
  resource?: string,
): Promise<Grant | Refused> {
  const { store, pace, tickets } = ground;
  const id = tickets.open(authReqId, agent.record.id);
  if (id === undefined) return { refused: "invalid_grant" };
  for (;;) {
    const now = store.now();
    const standing = await store.standing(id);
    if (standing?.agent !== agent.record.id) return { refused: "invalid_grant" };
    switch (stateAt({ expiresAt: standing.expiresAt, standing }, now)) {
      case "pending": {
        const tempo = pace(authReqId, now);
        if (tempo === "in_time") return { refused: "authorization_pending" };
        return { refused: tempo === "too_fast" ? "slow_down" : "too_fast" };
      }
      case "denied":
        return await denied(store, id);
      case "cancelled":
        return { refused: "access_denied" };
      case "expired":
      case "lapsed":
        return { refused: "expired_token" };
      case "redeemed":
        return { refused: "invalid_grant" };
      case "approved": {
        const grant = await issue(ground, agent, id, now, resource);
        if (grant !== "conflict") return grant;
        // Another request got there first, or the clock did: look again. The state has moved on, so this ends.
      }
    }
  }
}

/**
 * Authority follows the stricter of the rules pinned by the request and those in force now: the agent still has the
 * type, the approver may still decide it and proved enough, and nobody has denied the same action under other terms.
 */
async function stillHolds(
  store: Store,
  config: Config,
  { record: agent }: Held<"agent">,
  { type, bound, latchKey }: Approval,
  { approver, level }: Decision,
): Promise<boolean> {
  const rule = config.actions.get(type);
  const person = await store.read("approver", approver);
  return (
    !agent.paused &&
    agent.types.includes(type) &&
    rule !== undefined &&
    person !== undefined &&
    mayDecide(rule.approvers, config.groups, bound, person.record.email) &&
    stricter(level, rule.definition.level) === level &&
    (await store.read("latch", latchKey)) === undefined
  );
}

async function denied(store: Store, id: string): Promise<Refused> {
  const held = await store.read("approval", id);
  const reason = held?.record.standing.state === "denied" ? held.record.standing.decision.reason : undefined;
  return reason === undefined
    ? { refused: "access_denied" }
    : { refused: "access_denied", denialReason: reason };
}

async function issue(
  { store, config, signer }: RedeemGround,
  agent: Held<"agent">,
  id: string,
  now: number,
  resource: string | undefined,
): Promise<Grant | Refused | "conflict"> {
  const held = await store.read("approval", id);
  if (held?.record.standing.state !== "approved") return "conflict";
  const approval = held.record;
  const { decision } = held.record.standing;
  if (resource !== undefined && resource !== approval.audience) return { refused: "invalid_target" };

  const rule = config.actions.get(approval.type);
  if (!rule || !(await stillHolds(store, config, agent, approval, decision)))
    return { refused: "access_denied" };
  const lifetimeSeconds = Math.min(approval.tokenLifetimeSeconds, rule.tokenLifetimeSeconds);

  const jti = newId("tok", now);
  const next = redeemed(approval, jti, now);
  if ("refused" in next) return "conflict";
  const issuedAtSeconds = Math.floor(now / 1000);
  const expiresAtSeconds = issuedAtSeconds + lifetimeSeconds;
  const details = detailsOf(approval);
  const person = {
    sub: decision.approver,
    iat: issuedAtSeconds,
    exp: expiresAtSeconds,
    auth_time: Math.floor(decision.authenticatedAt / 1000),
    acr: acrOf(decision.level),
    amr: decision.amr,
  };
  const [accessToken, idToken] = await Promise.all([
    signer.accessToken({
      ...person,
      aud: approval.audience,
      client_id: approval.agent,
      jti,
      scope: approval.scope,
      ...(details && { authorization_details: details }),
      act_digest: approval.digest,
      act_type_hash: approval.typeHash,
      approved_by: [decision.approver],
    }),
    signer.idToken({ ...person, aud: approval.agent }),
  ]);
  const token: Token = {
    hash: hashToken(accessToken),
    jti,
    approval: approval.id,
    agent: approval.agent,
    subject: decision.approver,
    approvedBy: [decision.approver],
    type: approval.type,
    audience: approval.audience,
    scope: approval.scope,
    digest: approval.digest,
    bound: approval.bound,
    issuedAt: now,
    expiresAt: expiresAtSeconds * 1000,
    state: "issued",
  };
  const outcome = await store.commit({
    before: approval.expiresAt,
    writes: [
      { check: "agent", id: agent.record.id, expect: agent.version },
      { check: "latch", id: approval.latchKey, expect: absent },
      { put: "approval", record: next, expect: held.version },
      { put: "token", record: token, expect: absent },
    ],
    entries: [
      newEntry("token.issued", now, {
        request: approval.id,
        agent: approval.agent,
        approver: decision.approver,
        token: jti,
        digest: approval.digest,
        facts: { audience: approval.audience, expires_at: token.expiresAt },
      }),
    ],
  });
  if (outcome === "conflict") return await afterConflict(store, agent);
  return { accessToken, idToken, expiresInSeconds: lifetimeSeconds, scope: approval.scope, details };
}

/** The agent's own record may have changed since it authenticated; then this request is over rather than retried. */
async function afterConflict(store: Store, agent: Held<"agent">): Promise<Refused | "conflict"> {
  const current = await store.read("agent", agent.record.id);
  return current?.version === agent.version ? "conflict" : { refused: "access_denied" };
}
