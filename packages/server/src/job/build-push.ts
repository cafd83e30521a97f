/**
 * Builds the body of a push (CIBA §10.3.1, §12): the token, issued at the first attempt, or an error. The commit that issues
 * the token also stores the sealed body. After a crash following that commit, the same body is sent again; after a crash
 * before it, no token exists and the request is still approved.
 */
import { hash } from "node:crypto";
import { job } from "../audit/actor.ts";
import type { Seal } from "../crypto/secret.ts";
import { type Callback, findPushFault } from "../domain/callback/callback.ts";
import type { Agent } from "../domain/client/client.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import type { Versioned } from "../store/store.ts";
import { getCurrentPolicies } from "../usecase/request/authorization.ts";
import { type IssueDeps, issueToken } from "../usecase/token/issue.ts";
import type { CallbackClient, PushError } from "./callback-client.ts";

export type PushDeps = IssueDeps & { readonly callbackClient: CallbackClient; readonly callbackSeal: Seal };

/** The body of a push, and the callback, which stores the sealed body if it contains a token. */
export type PushBody = { readonly text: string; readonly callback: Callback };

/** Returns the body, or `conflict` if a record changed after it was read; read again. */
export async function buildPush(
  deps: PushDeps,
  agent: Versioned<"agent">,
  request: Versioned<"request">,
  { record: callback, version }: Versioned<"callback">,
  authReqId: string,
): Promise<PushBody | "conflict"> {
  const { store, callbackClient, callbackSeal } = deps;
  if (callback.sealedBody !== undefined)
    return { text: await callbackSeal.open(callback.sealedBody), callback };
  const refusal = findRefusal(deps, agent.record, request.record);
  if (refusal) return { text: callbackClient.encode({ kind: "error", authReqId, ...refusal }), callback };

  let body: PushBody | undefined;
  const result = await issueToken(deps, agent, request, {
    actor: job,
    idTokenClaims: (accessToken) => createIdTokenClaims(accessToken, authReqId),
    buildExtraWrites: async (issued, token) => {
      const text = callbackClient.encode({ kind: "token", authReqId, issued });
      const { hash: tokenHash, jti, expiresAt } = token;
      const sealedBody = await callbackSeal.seal(text);
      body = { text, callback: { ...callback, sealedBody, token: { hash: tokenHash, jti, expiresAt } } };
      return [{ put: "callback", record: body.callback, ifVersion: version }];
    },
  });
  if (result === "conflict") return "conflict";
  if (!("refused" in result)) return body!;
  // The refusal is based on the agent as read. If the agent changed since, read again.
  const current = await store.read("agent", agent.record.id);
  if (current?.version !== agent.version) return "conflict";
  return { text: callbackClient.encode({ kind: "error", authReqId, error: "access_denied" }), callback };
}

/** Returns the error to push instead of a token, or undefined if a token may be issued. */
function findRefusal(
  { store, policy }: PushDeps,
  agent: Agent,
  request: ApprovalRequest,
): { readonly error: PushError; readonly reason?: string | undefined } | undefined {
  const { status, parts } = request;
  switch (getRequestState(request, store.now())) {
    case "denied":
      return {
        error: "access_denied",
        reason: status.state === "denied" ? status.decision.reason : undefined,
      };
    case "cancelled":
      return { error: "access_denied" };
    case "expired":
    case "lapsed":
      return { error: "expired_token" };
    case "approved": {
      // The agent's registration and the policies may have changed since the request.
      const definitions =
        getCurrentPolicies(policy.current(), parts)?.map(({ definition }) => definition) ?? [];
      return findPushFault(agent, definitions) === undefined ? undefined : { error: "transaction_failed" };
    }
    default:
      // Its token was delivered or abandoned before. A request yields one token.
      return { error: "transaction_failed" };
  }
}

/** Returns the claims that bind the ID token to the access token (OpenID Connect Core §3.1.3.6) and to the request. */
function createIdTokenClaims(accessToken: string, authReqId: string): Record<string, unknown> {
  // `at_hash`: left half of the SHA-256 hash, which is the hash of ES256.
  const leftHalf = hash("sha256", accessToken, "buffer").subarray(0, 16);
  return { at_hash: leftHalf.toString("base64url"), "urn:openid:params:jwt:claim:auth_req_id": authReqId };
}
