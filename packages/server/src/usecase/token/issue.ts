/**
 * Issues the token of an approved request. The token is signed first and becomes valid in the commit that redeems the
 * request, so one of several attempts succeeds. The caller has authenticated the agent and found the request
 * approved; `issueToken` checks that the approval is still valid under the current policy.
 */

import type { JsonObject } from "@countersign/protocol";
import type { ActorOf } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { PolicySource } from "../../config/policy.ts";
import type { Policy } from "../../config/sections.ts";
import type { Directory, DirectoryEntry } from "../../directory/directory.ts";
import { newId } from "../../domain/id.ts";
import { maxLevel, toAcr } from "../../domain/policy/level.ts";
import {
  type ApprovalRequest,
  type Decision,
  redeem as redeemRequest,
} from "../../domain/request/request.ts";
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
import { checkIntegrity } from "../request/check-integrity.ts";

/** Signs JWTs with the newest active key (`usecase/key/keyring.ts`). */
export interface Signer {
  /** `typ: at+jwt` (RFC 9068). Claims in wire spelling; `iss` is added. */
  accessToken(claims: Record<string, unknown>): string | Promise<string>;
  idToken(claims: Record<string, unknown>): string | Promise<string>;
}

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
 * `access_denied`: the approval does not hold any more. `invalid_target`: `resource` is another API than the approved
 * one. `registration_changed`: the registration changed since the agent authenticated; the agent can authenticate
 * again.
 */
export type IssueRefusal = "access_denied" | "invalid_target" | "registration_changed";
export type IssueRefused = { readonly refused: IssueRefusal };

export type IssueOptions = {
  /** Who redeems the request. */
  readonly actor: ActorOf<"token.issued">;
  /** `resource` of the token request (RFC 8707), if given. */
  readonly resource?: string | undefined;
  /** Binds the token to this key. */
  readonly confirmation?: Confirmation | undefined;
  /** Returns additional claims of the ID token, which may depend on the access token. */
  readonly idTokenClaims?: (accessToken: string) => Record<string, unknown>;
  /** Returns additional writes for the same commit. */
  readonly buildExtraWrites?: (issued: IssuedToken, token: Token) => Promise<readonly Write[]>;
};

/** Returns `conflict` if a record changed since it was read; the caller reads again. */
export async function issueToken(
  deps: IssueDeps,
  agent: Versioned<"agent">,
  found: Versioned<"request">,
  { actor, resource, confirmation, idTokenClaims, buildExtraWrites }: IssueOptions,
): Promise<IssuedToken | IssueRefused | "conflict"> {
  const { store, directory, signer } = deps;
  const policy = deps.policy.current();
  const now = store.now();
  const request = found.record;
  if (request.status.state !== "approved") return "conflict";
  const { decision } = request.status;
  if (resource !== undefined && resource !== request.audience) return { refused: "invalid_target" };

  await checkIntegrity(store, request, policy);
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
  const next = redeemRequest(request, jti, now);
  if ("refused" in next) return "conflict";
  const issuedAtSeconds = Math.floor(now / 1000);
  const expiresAtSeconds = issuedAtSeconds + lifetimeSeconds;
  const details = toAuthorizationDetails(request);
  const sharedClaims = {
    sub: decision.approver,
    iat: issuedAtSeconds,
    exp: expiresAtSeconds,
    auth_time: Math.floor(decision.authenticatedAt / 1000),
    acr: toAcr(decision.level),
    amr: decision.amr,
  };
  const idTokenFor = (extra: Record<string, unknown>) =>
    signer.idToken({ ...sharedClaims, aud: request.agent, ...extra });
  // Sign both concurrently, unless the ID token depends on the access token.
  const independentIdToken = idTokenClaims ? undefined : idTokenFor({});
  const accessToken = await signer.accessToken({
    ...sharedClaims,
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
  const idToken = await (independentIdToken ?? idTokenFor(idTokenClaims!(accessToken)));
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
  const issued: IssuedToken = {
    accessToken,
    tokenType: confirmation && "jkt" in confirmation ? "DPoP" : "Bearer",
    idToken,
    expiresInSeconds: lifetimeSeconds,
    scope: request.scope,
    details,
  };
  const extraWrites = buildExtraWrites ? await buildExtraWrites(issued, token) : [];
  const outcome = await store.commit({
    notOnOrAfter: request.expiresAt,
    writes: [
      { check: "agent", id: agent.record.id, ifVersion: agent.version },
      { check: "approver", id: decision.approver, ifVersion: approver.version },
      ...guards,
      ...guardDenials(request.parts),
      { put: "request", record: next, ifVersion: found.version },
      { put: "token", record: token, ifVersion: absent },
      ...extraWrites,
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
  return issued;
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
  const requiredLevel = getRequiredLevel(policy, request);
  if (agent.paused || !active || requiredLevel === undefined || maxLevel(level, requiredLevel) !== level)
    return undefined;
  const guards = await checkAuthority({ policy, directory }, agent, approver, request, now);
  return guards && !(await isDenied(store, request.parts)) ? guards : undefined;
}

/** Tells a changed agent record, which ends the token request, from other conflicts, which are retried. */
async function explainConflict(store: Store, agent: Versioned<"agent">): Promise<IssueRefused | "conflict"> {
  const current = await store.read("agent", agent.record.id);
  if (!current || current.record.paused) return { refused: "access_denied" };
  return current.version === agent.version ? "conflict" : { refused: "registration_changed" };
}
