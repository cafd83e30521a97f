/** `POST /oauth/token` (CIBA §10.1, §11): how an ask stands, and once the token. */
import { cibaGrantType } from "@countersign/protocol";
import { slowDownSeconds } from "../../../usecase/token/poll-limiter.ts";
import {
  findRedeemTarget,
  type RedeemRefusal,
  type RedeemRefused,
  type RedeemTarget,
  redeem,
} from "../../../usecase/token/redeem.ts";
import type { HttpDeps } from "../../deps.ts";
import type { TlsPeer } from "../../transport/peer.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { type Answer, answerJson } from "../../transport/response.ts";
import { authenticateAgent } from "../client-authentication.ts";
import { bindToken } from "../confirmation.ts";
import { readForm, required } from "../form.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";
import { parsePreferWait } from "../prefer.ts";
import { denialOf, tokenResponse } from "../token-response.ts";

const errors = {
  authorization_pending: ["authorization_pending", "nobody has decided yet"],
  slow_down: ["slow_down", "poll more slowly"],
  too_fast: [
    "invalid_request",
    "this client polls far faster than the interval, and goes on after slow_down",
  ],
  access_denied: ["access_denied", "the request was denied or withdrawn"],
  expired_token: ["expired_token", "nobody decided in time, or the approval was not redeemed in time"],
  invalid_target: ["invalid_target", "the resource is not the API that the action was approved for"],
  invalid_grant: ["invalid_grant", "this auth_req_id is unknown, another client's, or already redeemed"],
  registration_changed: [
    "temporarily_unavailable",
    "this client's registration has changed meanwhile; authenticate again",
  ],
  unauthorized_client: ["unauthorized_client", "the token is pushed to this client, and not fetched"],
} as const satisfies Record<RedeemRefusal, readonly [OAuthErrorCode, string]>;

export async function token(deps: HttpDeps, call: ProtocolRequest, peer: TlsPeer): Promise<Answer> {
  const form = await readForm(call);
  let asked: RedeemTarget | undefined;
  const agent = await authenticateAgent(deps, call, form, peer, async (id) => {
    const found = await findRedeemTarget(deps, id, form.get("auth_req_id"));
    asked = found.asked;
    return found.agent;
  });
  if (required(form, "grant_type") !== cibaGrantType)
    throw new OAuthError("unsupported_grant_type", `the one grant type here is ${cibaGrantType}`);

  const authReqId = required(form, "auth_req_id");
  // Before the pace is looked at: to be told of a nonce is no poll (RFC 9449 §8).
  const found = bindToken(deps, call, agent.record, peer);
  const confirmed = found instanceof Promise ? await found : found;

  const wait = parsePreferWait(call);
  const answer = await redeem(deps, agent, {
    authReqId,
    asked,
    resource: form.get("resource"),
    confirmation: confirmed.confirmation,
    wait,
  });
  const headers = wait
    ? { ...confirmed.headers, "preference-applied": `wait=${wait.seconds}` }
    : confirmed.headers;
  if ("refused" in answer) {
    const patienceSeconds = deps.config.limits.pollIntervalSeconds + slowDownSeconds;
    throw refusal(answer, patienceSeconds, headers);
  }
  return answerJson(tokenResponse(answer), { headers });
}

function refusal(
  { refused, denialReason: reason }: RedeemRefused,
  patienceSeconds: number,
  headers: Readonly<Record<string, string>>,
): OAuthError {
  const [code, description] = errors[refused];
  if (refused === "slow_down")
    return new OAuthError(code, description, {
      headers: { ...headers, "retry-after": String(patienceSeconds) },
    });
  if (refused === "registration_changed")
    return new OAuthError(code, description, { status: 503, headers: { ...headers, "retry-after": "1" } });
  const denial = denialOf(description, reason);
  return new OAuthError(code, denial.description, { headers, members: denial.members });
}
