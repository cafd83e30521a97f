/**
 * What is pushed (CIBA §10.3.1, §12): the token, made at the first attempt, or why there is none. The commit that makes the
 * token keeps the body as well: if we crash after it, the same body is sent again; before it, the approval still stands.
 */
import { hash } from "node:crypto";
import type { Seal } from "../crypto/secret.ts";
import { type Callback, findPushFault } from "../domain/callback/callback.ts";
import type { Agent } from "../domain/client/client.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import type { Versioned } from "../store/store.ts";
import { getCurrentPolicies } from "../usecase/request/authorization.ts";
import { type IssueDeps, issue } from "../usecase/token/issue.ts";
import type { CallbackClient, PushError } from "./callback-client.ts";

export type PushDeps = IssueDeps & { readonly callbackClient: CallbackClient; readonly callbackSeal: Seal };

/** The body of a push, and the callback that keeps it where there is a token in it. */
export type PushBody = { readonly text: string; readonly callback: Callback };

/** `conflict`: something of it changed meanwhile; read again. */
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
  const refused = refusalOf(deps, agent.record, request.record);
  if (refused) return { text: callbackClient.encode({ say: "refused", authReqId, ...refused }), callback };

  let body: PushBody | undefined;
  const grant = await issue(deps, agent, request, {
    idTokenClaims: (accessToken) => createIdTokenClaims(accessToken, authReqId),
    also: async (made, token) => {
      const text = callbackClient.encode({ say: "granted", authReqId, grant: made });
      const { hash: tokenHash, jti, expiresAt } = token;
      const sealedBody = await callbackSeal.seal(text);
      body = { text, callback: { ...callback, sealedBody, token: { hash: tokenHash, jti, expiresAt } } };
      return [{ put: "callback", record: body.callback, ifVersion: version }];
    },
  });
  if (grant === "conflict") return "conflict";
  if (!("refused" in grant)) return body!;
  // Refused as it was read; if it has changed meanwhile, only what it is now counts.
  const current = await store.read("agent", agent.record.id);
  if (current?.version !== agent.version) return "conflict";
  return { text: callbackClient.encode({ say: "refused", authReqId, error: "access_denied" }), callback };
}

/** What is pushed in place of a token; undefined where one may be made. */
function refusalOf(
  { store, config }: PushDeps,
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
      // The agent and the rules may have changed since it asked.
      const definitions = getCurrentPolicies(config, parts)?.map(({ definition }) => definition) ?? [];
      return findPushFault(agent, definitions) === undefined ? undefined : { error: "transaction_failed" };
    }
    default:
      // Its token was delivered before, or given up; there is no second one.
      return { error: "transaction_failed" };
  }
}

/** That the ID token belongs to this access token (OpenID Connect Core §3.1.3.6) and to this request. */
function createIdTokenClaims(accessToken: string, authReqId: string): Record<string, unknown> {
  // The hash is that of the ID token's algorithm, ES256; its left half is compared.
  const left = hash("sha256", accessToken, "buffer").subarray(0, 16);
  return { at_hash: left.toString("base64url"), "urn:openid:params:jwt:claim:auth_req_id": authReqId };
}
