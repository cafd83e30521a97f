/** `POST /oauth/token` (CIBA §10.1, §11): returns the status of a request and, once, its token. */
import { cibaGrantType, isErrorDescription } from "@countersign/protocol";
import type { IssuedToken } from "../../../usecase/token/issue.ts";
import { slowDownSeconds } from "../../../usecase/token/poll-limiter.ts";
import {
  type RedeemDeps,
  type RedeemRefusal,
  type RedeemRefused,
  readAgentAndRequest,
  redeem,
} from "../../../usecase/token/redeem.ts";
import type { EndpointHandler } from "../../route.ts";
import { createJsonResponse } from "../../transport/response.ts";
import {
  type AuthenticationDeps,
  authenticateClient,
  readClientCredentials,
} from "../client-authentication.ts";
import { bindToken } from "../confirmation.ts";
import type { DpopDeps } from "../dpop.ts";
import { readForm, requireParameter } from "../form.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";
import { parsePreferWait } from "../prefer.ts";

const errors = {
  authorization_pending: ["authorization_pending", "no approver has decided yet"],
  slow_down: ["slow_down", "poll more slowly"],
  rate_limited: ["invalid_request", "this client ignores slow_down and polls much faster than the interval"],
  access_denied: ["access_denied", "the request was denied or withdrawn"],
  expired_token: ["expired_token", "no approver decided in time, or the approval was not redeemed in time"],
  invalid_target: ["invalid_target", "the resource is not the API that the action was approved for"],
  invalid_grant: ["invalid_grant", "this auth_req_id is unknown, another client's, or already redeemed"],
  registration_changed: [
    "temporarily_unavailable",
    "this client's registration changed during the request; authenticate again",
  ],
  unauthorized_client: [
    "unauthorized_client",
    "this client is registered for push and cannot fetch the token",
  ],
} as const satisfies Record<RedeemRefusal, readonly [OAuthErrorCode, string]>;

export type TokenDeps = RedeemDeps & AuthenticationDeps & DpopDeps;

export function createTokenHandler(deps: TokenDeps): EndpointHandler {
  return async (request, peer) => {
    const form = await readForm(request);
    const credentials = readClientCredentials(request, form, peer);
    // One read per poll: the agent, and the status of the request that `auth_req_id` belongs to.
    const { agent: found, lookup } = await readAgentAndRequest(deps, credentials.id, form.get("auth_req_id"));
    const agent = await authenticateClient(deps, found, credentials);
    if (requireParameter(form, "grant_type") !== cibaGrantType)
      throw new OAuthError("unsupported_grant_type", `the only supported grant type is ${cibaGrantType}`);

    const authReqId = requireParameter(form, "auth_req_id");
    // Before the poll is counted: a response that only carries a nonce is not a poll (RFC 9449 §8).
    const bindingOrPromise = bindToken(deps, request, agent.record, peer);
    const binding = bindingOrPromise instanceof Promise ? await bindingOrPromise : bindingOrPromise;

    const wait = parsePreferWait(request);
    const result = await redeem(deps, agent, {
      authReqId,
      lookup,
      resource: form.get("resource"),
      confirmation: binding.confirmation,
      wait,
    });
    const headers = wait
      ? { ...binding.headers, "preference-applied": `wait=${wait.seconds}` }
      : binding.headers;
    if ("refused" in result) {
      const retryAfterSeconds = deps.policy.current().limits.pollIntervalSeconds + slowDownSeconds;
      throw toOAuthError(result, retryAfterSeconds, headers);
    }
    return createJsonResponse(toTokenResponse(result), { headers });
  };
}

function toOAuthError(
  { refused, denialReason: reason }: RedeemRefused,
  retryAfterSeconds: number,
  headers: Readonly<Record<string, string>>,
): OAuthError {
  const [code, description] = errors[refused];
  if (refused === "slow_down")
    return new OAuthError(code, description, {
      headers: { ...headers, "retry-after": String(retryAfterSeconds) },
    });
  if (refused === "registration_changed")
    return new OAuthError(code, description, { status: 503, headers: { ...headers, "retry-after": "1" } });
  const denial = describeDenial(description, reason);
  return new OAuthError(code, denial.description, { headers, members: denial.members });
}

/** Encodes a token for token responses and pushes (RFC 6749 §5.1, CIBA §10.1.1, RFC 9396 §7). */
export function toTokenResponse(token: IssuedToken) {
  return {
    access_token: token.accessToken,
    token_type: token.tokenType,
    expires_in: token.expiresInSeconds,
    id_token: token.idToken,
    scope: token.scope,
    ...(token.details && { authorization_details: token.details }),
  };
}

/** Returns the approver's reason as a separate member, and as `error_description` if its characters are allowed there. */
export function describeDenial(
  description: string,
  reason: string | undefined,
): { readonly description: string; readonly members: { readonly denial_reason?: string } } {
  if (reason === undefined) return { description, members: {} };
  return {
    description: isErrorDescription(reason) ? reason : description,
    members: { denial_reason: reason },
  };
}
