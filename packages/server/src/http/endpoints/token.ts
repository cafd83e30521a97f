/** `POST /oauth/token` (CIBA §10.1, §11): how an ask stands, and once the token. */
import { cibaGrantType } from "@countersign/protocol";
import { raisedBySeconds } from "../../operations/pace.ts";
import { type Asked, lookUp, type RedeemRefusal, type Refused, redeem } from "../../operations/redeem.ts";
import { type Answer, answerJson } from "../answer.ts";
import type { Call } from "../call.ts";
import { authenticateAgent } from "../client-authentication.ts";
import { confirm } from "../confirmation.ts";
import { readForm, required } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";
import type { Peer } from "../peer.ts";
import { readWait } from "../prefer.ts";
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

export async function token(ground: HttpGround, call: Call, peer: Peer): Promise<Answer> {
  const form = await readForm(call);
  let asked: Asked | undefined;
  const agent = await authenticateAgent(ground, call, form, peer, async (id) => {
    const found = await lookUp(ground, id, form.get("auth_req_id"));
    asked = found.asked;
    return found.agent;
  });
  if (required(form, "grant_type") !== cibaGrantType)
    throw new OAuthError("unsupported_grant_type", `the one grant type here is ${cibaGrantType}`);

  const authReqId = required(form, "auth_req_id");
  // Before the pace is looked at: to be told of a nonce is no poll (RFC 9449 §8).
  const found = confirm(ground, call, agent.record, peer);
  const confirmed = found instanceof Promise ? await found : found;

  const wait = readWait(call);
  const answer = await redeem(ground, agent, {
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
    const patienceSeconds = ground.config.limits.pollIntervalSeconds + raisedBySeconds;
    throw refusal(answer, patienceSeconds, headers);
  }
  return answerJson(tokenResponse(answer), { headers });
}

function refusal(
  { refused, denialReason: reason }: Refused,
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
