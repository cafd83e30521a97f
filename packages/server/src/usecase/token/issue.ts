/**
 * An approval becomes a token. The token is signed first and becomes valid in the same commit that ends the approval: of
 * any number of attempts one commits. Whoever calls has found the approval approved and knows who the agent is; whether
 * the approval still holds under the rules in force is decided here.
 */

import type { JsonObject } from "@countersign/protocol";
import type { ActorOf } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { PolicySource } from "../../config/policy.ts";
import type { Policy } from "../../config/sections.ts";
import type { Signer } from "../../crypto/jwt-signer.ts";
import type { Directory, DirectoryEntry } from "../../directory/directory.ts";
import { newId } from "../../domain/id.ts";
import { maxLevel, toAcr } from "../../domain/policy/level.ts";
import { type ApprovalRequest, type Decision, redeem as redeemed } from "../../domain/request/request.ts";
import {
  type Confirmation,
  hashToken,
  type Token,
  toAuthorizationDetails,
  toTypeHashClaim,
} from "../../domain/token/token.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { traceLink } from "../../tracing/tracing.ts";
import {
  checkAuthority,
  getCurrentPolicies,
  getRequiredLevel,
  guardDenials,
  isDenied,
} from "../request/authorization.ts";

export type IssueDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly directory: Directory;
  readonly signer: Signer;
};

export type IssuedToken = {
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
export type IssueRefused = { readonly refused: IssueRefusal };

export type IssueOptions = {
  /** Who redeems the approval. */
  readonly actor: ActorOf<"token.issued">;
  /** Where the agent means to use the token, if it says so. */
  readonly resource?: string | undefined;
  /** The key that the token will be bound to. */
  readonly confirmation?: Confirmation | undefined;
  /** Claims that the ID token has beside the usual ones, made from the access token. */
  readonly idTokenClaims?: (accessToken: string) => Record<string, unknown>;
  /** What else is written in the same commit. */
  readonly also?: (grant: IssuedToken, token: Token) => Promise<readonly Write[]>;
};

/** `conflict`: something of it changed meanwhile; read again. */
export async function issue(
  deps: IssueDeps,
  agent: Versioned<"agent">,
  found: Versioned<"request">,
  { actor, resource, confirmation, idTokenClaims, also }: IssueOptions,
): Promise<IssuedToken | IssueRefused | "conflict"> {
  const { store, directory, signer } = deps;
  const policy = deps.policy.current();
  const now = store.now();
  const request = found.record;
  if (request.status.state !== "approved") return "conflict";
  const { decision } = request.status;
  if (resource !== undefined && resource !== request.audience) return { refused: "invalid_target" };

  const policies = getCurrentPolicies(policy, request.parts);
  const approver = await directory.findById(decision.approver);
  const guards =
    approver &&
    (await checkStillAuthorized({ store, policy, directory }, agent, request, decision, approver, now));
  if (!policies || !guards) return { refused: "access_denied" };
  const lifetimeSeconds = Math.min(
    request.tokenLifetimeSeconds,
    ...policies.map(({ tokenLifetimeSeconds }) => tokenLifetimeSeconds),
  );

  const jti = newId("tok", now);
  const next = redeemed(request, jti, now);
  if ("refused" in next) return "conflict";
  const issuedAtSeconds = Math.floor(now / 1000);
  const expiresAtSeconds = issuedAtSeconds + lifetimeSeconds;
  const details = toAuthorizationDetails(request);
  const common = {
    sub: decision.approver,
    iat: issuedAtSeconds,
    exp: expiresAtSeconds,
    auth_time: Math.floor(decision.authenticatedAt / 1000),
    acr: toAcr(decision.level),
    amr: decision.amr,
  };
  const idTokenFor = (extra: Record<string, unknown>) =>
    signer.idToken({ ...common, aud: request.agent, ...extra });
  // Both are signed at the same time, unless one speaks of the other.
  const early = idTokenClaims ? undefined : idTokenFor({});
  const accessToken = await signer.accessToken({
    ...common,
    aud: request.audience,
    client_id: request.agent,
    jti,
    scope: request.scope,
    ...(details && { authorization_details: details }),
    act_digest: request.digest,
    ...toTypeHashClaim(request),
    approved_by: [decision.approver],
    ...(confirmation && { cnf: confirmation }),
  });
  const idToken = await (early ?? idTokenFor(idTokenClaims!(accessToken)));
  const token: Token = {
    hash: hashToken(accessToken),
    jti,
    requestId: request.id,
    agent: request.agent,
    subject: decision.approver,
    approvedBy: [decision.approver],
    parts: request.parts.map(({ type, typeHash, bound }) => ({ type, typeHash, bound })),
    audience: request.audience,
    scope: request.scope,
    digest: request.digest,
    ...(confirmation && { confirmation }),
    ...(request.traceparent !== undefined && { traceparent: request.traceparent }),
    issuedAt: now,
    expiresAt: expiresAtSeconds * 1000,
    state: "issued",
  };
  const grant: IssuedToken = {
    accessToken,
    tokenType: confirmation && "jkt" in confirmation ? "DPoP" : "Bearer",
    idToken,
    expiresInSeconds: lifetimeSeconds,
    scope: request.scope,
    details,
  };
  const further = also ? await also(grant, token) : [];
  const outcome = await store.commit({
    notOnOrAfter: request.expiresAt,
    writes: [
      { check: "agent", id: agent.record.id, ifVersion: agent.version },
      { check: "approver", id: decision.approver, ifVersion: approver.version },
      ...guards,
      ...guardDenials(request.parts),
      { put: "request", record: next, ifVersion: found.version },
      { put: "token", record: token, ifVersion: absent },
      ...further,
    ],
    entries: [
      newEntry("token.issued", now, {
        actor,
        request: request.id,
        agent: request.agent,
        approver: decision.approver,
        token: jti,
        digest: request.digest,
        facts: {
          audience: request.audience,
          expires_at: token.expiresAt,
          ...(confirmation && { cnf: confirmation }),
        },
      }),
    ],
  });
  if (outcome === "conflict") return await explainConflict(store, agent);
  traceLink(request);
  return grant;
}

/**
 * Checks the stricter of the policy pinned by the request and the current one: the agent still has the type, the approver is
 * active, may still decide it and proved enough, and no denial blocks it. Returns guards for the commit, or undefined.
 */
async function checkStillAuthorized(
  { store, policy, directory }: Pick<IssueDeps, "store" | "directory"> & { readonly policy: Policy },
  { record: agent }: Versioned<"agent">,
  request: ApprovalRequest,
  { level }: Decision,
  { record: approver, active }: DirectoryEntry,
  now: number,
): Promise<readonly Write[] | undefined> {
  const needed = getRequiredLevel(policy, request);
  if (agent.paused || !active || needed === undefined || maxLevel(level, needed) !== level) return undefined;
  const guards = await checkAuthority({ policy, directory }, agent, approver, request, now);
  return guards && !(await isDenied(store, request.parts)) ? guards : undefined;
}

/** The agent's own record may have changed since it authenticated; then this request is over rather than retried. */
async function explainConflict(store: Store, agent: Versioned<"agent">): Promise<IssueRefused | "conflict"> {
  const current = await store.read("agent", agent.record.id);
  if (!current || current.record.paused) return { refused: "access_denied" };
  return current.version === agent.version ? "conflict" : { refused: "registration_changed" };
}
