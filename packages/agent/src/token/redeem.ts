import { cibaGrantType, type TokenError } from "@countersign/protocol";
import { InvalidArgumentError, ResponseError } from "@countersign/protocol/client";
import type { Callback } from "../callback/callback.ts";
import {
  type Connection,
  createNoResponseError,
  isUnavailable,
  type NetworkFailure,
  type PostOptions,
  type ServerReply,
} from "../connection.ts";
import type { Action, Actions } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";
import { type AskRefused, parseRefusal } from "../request/refusal.ts";
import { type Approved, parseApproved } from "./token-response.ts";

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

/** Not decided, as seen by the polling loop. `hasStatus` is false if the server did not return the request's status. */
type Waiting<A extends Actions> = {
  readonly outcome: "waiting";
  /** Minimum time until the next token request. */
  readonly pauseMs: number;
  readonly ask: Ask<A>;
  readonly hasStatus: boolean;
};

/** Seconds by which `slow_down` lengthens the interval, for this and all later polls (CIBA §11). */
const slowDownSeconds = 5;

/** Implements `Agent.redeem`. */
export async function redeemOnce<A extends Actions>(
  connection: Connection,
  ask: Ask<A>,
  signal?: AbortSignal,
): Promise<Redemption<A>> {
  const reply = await redeem(connection, ask, { signal });
  if ("failure" in reply)
    throw createNoResponseError(
      "no response to the token request; its outcome is unknown until redeem is called again",
      reply.failure,
    );
  if (reply.outcome !== "waiting") return reply;
  return { outcome: "pending", retryAt: connection.clock.now() + reply.pauseMs, ask: reply.ask };
}

/** Sends one token request, or reads the pushed result. Returns a `NetworkFailure` instead of rejecting. */
export async function redeem<A extends Actions>(
  connection: Connection,
  ask: Ask<A>,
  options: Pick<PostOptions, "signal" | "holdSeconds">,
): Promise<Outcome<A> | Waiting<A> | NetworkFailure> {
  const { issuer, clientId, clock, callback } = connection;
  if (ask.issuer !== issuer || ask.clientId !== clientId)
    throw new InvalidArgumentError(
      `the request belongs to ${ask.clientId} at ${ask.issuer}, not to ${clientId} at ${issuer}`,
    );
  if (callback?.mode === "push") return takePushedResult(connection, callback, ask);
  const form = { grant_type: cibaGrantType, auth_req_id: ask.authReqId };
  const sentAt = clock.elapsed();
  const reply = await connection.post("token_endpoint", form, options);
  if ("failure" in reply) return reply;
  if (reply.status === 200) {
    callback?.callbackInbox.end(ask.authReqId);
    return parseApproved(connection, ask, reply.body);
  }
  const result = parseUndecided(ask, reply, clock.elapsed() - sentAt);
  if (result.outcome !== "waiting") callback?.callbackInbox.end(ask.authReqId);
  return result;
}

/** Returns the pushed result. A push agent must not send a token request (CIBA §11). */
function takePushedResult<A extends Actions>(
  connection: Connection,
  { callbackInbox }: Callback,
  ask: Ask<A>,
): Outcome<A> | Waiting<A> {
  const { authReqId, intervalSeconds } = ask;
  const event = callbackInbox.take(authReqId);
  const pushed = event?.pushed;
  if (!pushed) {
    // The token was returned before; it is returned once.
    if (callbackInbox.isEnded(authReqId)) return { outcome: "lost" };
    return { outcome: "waiting", pauseMs: intervalSeconds * 1000, ask, hasStatus: false };
  }
  if (typeof pushed.error !== "string") {
    callbackInbox.end(authReqId);
    return parseApproved(connection, ask, pushed);
  }
  // A repeated call returns the same outcome.
  callbackInbox.put(authReqId, event);
  const result = parseUndecided(ask, { status: 400, held: false, body: pushed }, 0);
  if (result.outcome !== "waiting") return result;
  throw new ResponseError(`unexpected error in a push: ${pushed.error}`);
}

function parseUndecided<A extends Actions>(
  ask: Ask<A>,
  reply: ServerReply,
  elapsedMs: number,
): NotApproved | Waiting<A> {
  switch (reply.body?.error) {
    case "authorization_pending":
      return waiting(ask, reply, reply.held ? elapsedMs : 0);
    case "slow_down":
      return waiting({ ...ask, intervalSeconds: ask.intervalSeconds + slowDownSeconds }, reply);
    case "use_dpop_nonce":
      // The second in a row: the connection retried after the first. The server did not process the request.
      return waiting(ask, reply);
    case "access_denied": {
      const { denial_reason: reason } = reply.body;
      return { outcome: "denied", ...(typeof reason === "string" && { reason }) };
    }
    case "expired_token":
      return { outcome: "expired" };
    case "invalid_grant":
      // The server accepted this request from this agent, so it knows it: the approval has been redeemed.
      return { outcome: "lost" };
  }
  return isUnavailable(reply.status) ? { ...waiting(ask, reply), hasStatus: false } : parseRefusal(reply);
}

/** The interval starts when a request is sent (CIBA §10.1), so a long poll may already have exceeded it. */
function waiting<A extends Actions>(ask: Ask<A>, reply: ServerReply, heldMs = 0): Waiting<A> {
  const intervalMs = ask.intervalSeconds * 1000 - heldMs;
  const pauseMs = Math.max(intervalMs, reply.retryAfterMs ?? 0, 0);
  return { outcome: "waiting", pauseMs, ask, hasStatus: true };
}
