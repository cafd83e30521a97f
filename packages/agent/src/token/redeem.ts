import { cibaGrantType, type TokenError } from "@countersign/protocol";
import { InvalidArgumentError, ResponseError } from "@countersign/protocol/client";
import type { Callback } from "../callback/callback.ts";
import {
  type Connection,
  isUnavailable,
  type NetworkFailure,
  type PostOptions,
  type TokenReply,
  unansweredError,
} from "../connection.ts";
import type { Action, Actions } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";
import { type AskRefused, readRefusal } from "../request/refusal.ts";
import { type Approved, readApproved } from "./token-response.ts";

/** The request has not been decided. */
export type Pending<A extends Actions = Action> = {
  readonly outcome: "pending";
  /** Earliest time of the next token request, in milliseconds since the epoch. */
  readonly retryAt: number;
  /** The request to pass to the next call. Its interval is longer after `slow_down`. */
  readonly ask: Ask<A>;
};
/** The approver denied the request, or the operator withdrew it. `reason` is the approver's text, if given. Final. */
export type Denied = { readonly outcome: "denied"; readonly reason?: string };
/** The request was not decided in time, or the approval was not redeemed in time. */
export type Expired = { readonly outcome: "expired" };
/**
 * The approval was redeemed, but this process does not have the token: the response was lost, another process received
 * it, or it was redeemed before a crash. Check whether the action ran before sending a new request.
 */
export type ResponseLost = { readonly outcome: "lost" };

/** The final outcome of a request. */
export type Outcome<A extends Actions = Action> = Approved<A> | NotApproved;
export type NotApproved = Denied | Expired | AskRefused<TokenError> | ResponseLost;
/** The result of one token request. */
export type Redemption<A extends Actions = Action> = Outcome<A> | Pending<A>;
/** The result of `run`, or the outcome for which it did not run. */
export type Countersigned<R> = { readonly outcome: "approved"; readonly result: R } | NotApproved;

/** Not decided, seen from the polling loop. `heard` is false where the server did not say how the ask stands. */
type Waiting<A extends Actions> = {
  readonly outcome: "waiting";
  readonly milliseconds: number;
  readonly ask: Ask<A>;
  readonly heard: boolean;
};

/** Seconds by which `slow_down` lengthens the interval, for this and all later polls (CIBA §11). */
const slowDownSeconds = 5;

export async function redeemOnce<A extends Actions>(
  connection: Connection,
  ask: Ask<A>,
  signal?: AbortSignal,
): Promise<Redemption<A>> {
  const answer = await redeem(connection, ask, { signal });
  if ("unanswered" in answer)
    throw unansweredError(
      "the token request was not answered: redeem again to learn what became of it",
      answer.unanswered,
    );
  if (answer.outcome !== "waiting") return answer;
  return { outcome: "pending", retryAt: connection.clock.now() + answer.milliseconds, ask: answer.ask };
}

export async function redeem<A extends Actions>(
  connection: Connection,
  ask: Ask<A>,
  options: Pick<PostOptions, "signal" | "holdSeconds">,
): Promise<Outcome<A> | Waiting<A> | NetworkFailure> {
  const { issuer, clientId, clock, callback } = connection;
  if (ask.issuer !== issuer || ask.clientId !== clientId)
    throw new InvalidArgumentError(
      `this ask belongs to ${ask.clientId} at ${ask.issuer}, not to ${clientId} at ${issuer}`,
    );
  if (callback?.mode === "push") return takeResult(connection, callback, ask);
  const form = { grant_type: cibaGrantType, auth_req_id: ask.authReqId };
  const sentAt = clock.elapsed();
  const answer = await connection.post("token_endpoint", form, options);
  if ("unanswered" in answer) return answer;
  if (answer.status === 200) {
    callback?.callbackInbox.end(ask.authReqId);
    return readApproved(connection, ask, answer.body);
  }
  const standing = readPending(ask, answer, clock.elapsed() - sentAt);
  if (standing.outcome !== "waiting") callback?.callbackInbox.end(ask.authReqId);
  return standing;
}

/** Returns the pushed result. A push agent must not send a token request (CIBA §11). */
function takeResult<A extends Actions>(
  connection: Connection,
  { callbackInbox }: Callback,
  ask: Ask<A>,
): Outcome<A> | Waiting<A> {
  const { authReqId, intervalSeconds } = ask;
  const news = callbackInbox.take(authReqId);
  const pushed = news?.pushed;
  if (!pushed) {
    // The token was returned before; it is returned once.
    if (callbackInbox.ended(authReqId)) return { outcome: "lost" };
    return { outcome: "waiting", milliseconds: intervalSeconds * 1000, ask, heard: false };
  }
  if (typeof pushed.error !== "string") {
    callbackInbox.end(authReqId);
    return readApproved(connection, ask, pushed);
  }
  // A repeated call returns the same outcome.
  callbackInbox.put(authReqId, news);
  const standing = readPending(ask, { status: 400, held: false, body: pushed }, 0);
  if (standing.outcome !== "waiting") return standing;
  throw new ResponseError(`the server pushed ${pushed.error}, which is no end`);
}

function readPending<A extends Actions>(
  ask: Ask<A>,
  answer: TokenReply,
  tookMilliseconds: number,
): NotApproved | Waiting<A> {
  switch (answer.body?.error) {
    case "authorization_pending":
      return waiting(ask, answer, answer.held ? tookMilliseconds : 0);
    case "slow_down":
      return waiting({ ...ask, intervalSeconds: ask.intervalSeconds + slowDownSeconds }, answer);
    case "use_dpop_nonce":
      // Twice in a row, since the connection has answered the first: the server has not looked at the ask.
      return waiting(ask, answer);
    case "access_denied": {
      const { denial_reason: reason } = answer.body;
      return { outcome: "denied", ...(typeof reason === "string" && { reason }) };
    }
    case "expired_token":
      return { outcome: "expired" };
    case "invalid_grant":
      // The server acknowledged this ask to this agent: it knows it, so it has been redeemed.
      return { outcome: "lost" };
  }
  return isUnavailable(answer.status) ? { ...waiting(ask, answer), heard: false } : readRefusal(answer);
}

/** The interval is measured from the sending of a request (CIBA §10.1), so that one which was held may be over already. */
function waiting<A extends Actions>(ask: Ask<A>, answer: TokenReply, heldMilliseconds = 0): Waiting<A> {
  const interval = ask.intervalSeconds * 1000 - heldMilliseconds;
  const milliseconds = Math.max(interval, answer.retryAfterMilliseconds ?? 0, 0);
  return { outcome: "waiting", milliseconds, ask, heard: true };
}
