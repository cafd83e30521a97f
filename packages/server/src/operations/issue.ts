/**
 * An approval becomes a token. The token is signed first and becomes valid in the same commit that ends the approval: of
 * any number of attempts one commits. Whoever calls has found the approval approved and knows who the agent is; whether
 * the approval still holds under the rules in force is decided here.
 */
import type { JsonObject } from "@countersign/protocol";
import { type Approval, type Decision, redeem as redeemed } from "../approval/approval.ts";
import { acrOf, stricter } from "../approver/level.ts";
import type { Config } from "../config/config.ts";
import { type Awaitable, absent, type Held, type Store, type Write } from "../store/store.ts";
import { type Confirmation, detailsOf, hashToken, type Token, typeHashesOf } from "../token/token.ts";
import { isLatched, levelNow, mayApprove, noLatch, rulesNow } from "./authority.ts";
import { newEntry } from "./entry.ts";
import { newId } from "./id.ts";
import { traceLink } from "./trace.ts";

/** Signs JWTs with the newest active key. Declared here, built in `keys/`. */
export interface Signer {
  /** `typ: at+jwt` (RFC 9068). Claims in wire spelling; `iss` is added. */
  accessToken(claims: Record<string, unknown>): Awaitable<string>;
  idToken(claims: Record<string, unknown>): Awaitable<string>;
}

export type IssueGround = { readonly store: Store; readonly config: Config; readonly signer: Signer };

export type Grant = {
  readonly accessToken: string;
  readonly tokenType: "Bearer" | "DPoP";
  readonly idToken: string;
  readonly expiresInSeconds: number;
  readonly scope: string;
  readonly details: readonly JsonObject[] | undefined;
};

/**
 * `access_denied`: what was approved does not hold any more. `invalid_target`: the agent means another API.
 * `registration_changed`: the agent is not registered as when it authenticated; it can do so again.
 */
export type IssueRefusal = "access_denied" | "invalid_target" | "registration_changed";
export type Refused = { readonly refused: IssueRefusal };

export type Use = {
  /** Where the agent means to use the token, if it says so. */
  readonly resource?: string | undefined;
  /** The key that the token will be bound to. */
  readonly confirmation?: Confirmation | undefined;
  /** Claims that the ID token has beside the usual ones, made from the access token. */
  readonly idTokenClaims?: (accessToken: string) => Record<string, unknown>;
  /** What else is written in the same commit. */
  readonly also?: (grant: Grant, token: Token) => Promise<readonly Write[]>;
};

/** `conflict`: something of it changed meanwhile; read again. */
export async function issue(
  { store, config, signer }: IssueGround,
  agent: Held<"agent">,
  held: Held<"approval">,
  { resource, confirmation, idTokenClaims, also }: Use = {},
): Promise<Grant | Refused | "conflict"> {
  const now = store.now();
  const approval = held.record;
  if (approval.standing.state !== "approved") return "conflict";
  const { decision } = approval.standing;
  if (resource !== undefined && resource !== approval.audience) return { refused: "invalid_target" };

  const rules = rulesNow(config, approval.parts);
  const person = await store.read("approver", decision.approver);
  if (!rules || !person || !(await stillHolds({ store, config }, agent, approval, decision, person)))
    return { refused: "access_denied" };
  const lifetimeSeconds = Math.min(
    approval.tokenLifetimeSeconds,
    ...rules.map((rule) => rule.tokenLifetimeSeconds),
  );

  const jti = newId("tok", now);
  const next = redeemed(approval, jti, now);
  if ("refused" in next) return "conflict";
  const issuedAtSeconds = Math.floor(now / 1000);
  const expiresAtSeconds = issuedAtSeconds + lifetimeSeconds;
  const details = detailsOf(approval);
  const common = {
    sub: decision.approver,
    iat: issuedAtSeconds,
    exp: expiresAtSeconds,
    auth_time: Math.floor(decision.authenticatedAt / 1000),
    acr: acrOf(decision.level),
    amr: decision.amr,
  };
  const idTokenFor = (extra: Record<string, unknown>) =>
    signer.idToken({ ...common, aud: approval.agent, ...extra });
  // Both are signed at the same time, unless one speaks of the other.
  const early = idTokenClaims ? undefined : idTokenFor({});
  const accessToken = await signer.accessToken({
    ...common,
    aud: approval.audience,
    client_id: approval.agent,
    jti,
    scope: approval.scope,
    ...(details && { authorization_details: details }),
    act_digest: approval.digest,
    ...typeHashesOf(approval),
    approved_by: [decision.approver],
    ...(confirmation && { cnf: confirmation }),
  });
  const idToken = await (early ?? idTokenFor(idTokenClaims!(accessToken)));
  const token: Token = {
    hash: hashToken(accessToken),
    jti,
    approval: approval.id,
    agent: approval.agent,
    subject: decision.approver,
    approvedBy: [decision.approver],
    parts: approval.parts.map(({ type, typeHash, bound }) => ({ type, typeHash, bound })),
    audience: approval.audience,
    scope: approval.scope,
    digest: approval.digest,
    ...(confirmation && { confirmation }),
    ...(approval.traceparent !== undefined && { traceparent: approval.traceparent }),
    issuedAt: now,
    expiresAt: expiresAtSeconds * 1000,
    state: "issued",
  };
  const grant: Grant = {
    accessToken,
    tokenType: confirmation && "jkt" in confirmation ? "DPoP" : "Bearer",
    idToken,
    expiresInSeconds: lifetimeSeconds,
    scope: approval.scope,
    details,
  };
  const further = also ? await also(grant, token) : [];
  const outcome = await store.commit({
    before: approval.expiresAt,
    writes: [
      { check: "agent", id: agent.record.id, expect: agent.version },
      { check: "approver", id: decision.approver, expect: person.version },
      ...noLatch(approval.parts),
      { put: "approval", record: next, expect: held.version },
      { put: "token", record: token, expect: absent },
      ...further,
    ],
    entries: [
      newEntry("token.issued", now, {
        request: approval.id,
        agent: approval.agent,
        approver: decision.approver,
        token: jti,
        digest: approval.digest,
        facts: {
          audience: approval.audience,
          expires_at: token.expiresAt,
          ...(confirmation && { cnf: confirmation }),
        },
      }),
    ],
  });
  if (outcome === "conflict") return await afterConflict(store, agent);
  traceLink(approval);
  return grant;
}

/**
 * Authority follows the stricter of the rules pinned by the request and those in force now: the agent still has the
 * type, the approver may still decide it and proved enough, and nobody has denied the same action under other terms.
 */
async function stillHolds(
  { store, config }: Pick<IssueGround, "store" | "config">,
  { record: agent }: Held<"agent">,
  approval: Approval,
  { level }: Decision,
  { record: person }: Held<"approver">,
): Promise<boolean> {
  const needed = levelNow(config, approval);
  return (
    !agent.paused &&
    mayApprove(config, agent, person, approval) &&
    needed !== undefined &&
    stricter(level, needed) === level &&
    !(await isLatched(store, approval.parts))
  );
}

/** The agent's own record may have changed since it authenticated; then this request is over rather than retried. */
async function afterConflict(store: Store, agent: Held<"agent">): Promise<Refused | "conflict"> {
  const current = await store.read("agent", agent.record.id);
  if (!current || current.record.paused) return { refused: "access_denied" };
  return current.version === agent.version ? "conflict" : { refused: "registration_changed" };
}
