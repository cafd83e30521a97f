import type { AskError } from "@countersign/protocol";
import { type CountersignError, InvalidArgumentError, ResponseError } from "@countersign/protocol/client";
import { type Connection, createNoResponseError, isUnavailable, type ServerReply } from "../connection.ts";
import { type Action, type Actions, requireJson } from "./action.ts";
import { type AskRefused, parseRefusal } from "./refusal.ts";

/** An approval request: the action, the approver and optional limits. */
export type NewAsk<A extends Actions = Action> = {
  /**
   * `"owner"` applies the operator's policy; an e-mail address selects one of the approvers that the policy allows. Set it
   * in code, never from the output of a language model.
   */
  readonly approver: "owner" | (string & {});
  /** A message to the approver, shown in quotation marks as the agent's. At most 256 characters. */
  readonly message?: string;
  /** The approver's user code (CIBA `user_code`), required if the agent is registered for it. */
  readonly userCode?: string;
  /** Seconds until the request expires. Default and maximum: those of the action type. */
  readonly lifetimeSeconds?: number;
  /**
   * Identifies the intended action, for example a ticket number: 1 to 255 visible ASCII characters. A repeated key returns
   * the first request, whatever its outcome; a new request needs a new key. Default: a random UUID.
   */
  readonly idempotencyKey?: string;
  /**
   * The API that runs the action (RFC 8707). Default: the API of the action type. The server rejects any other.
   */
  readonly resource?: string;
} & (
  | { readonly action: A & Action; readonly actions?: undefined; readonly scope?: undefined }
  | {
      /**
       * Several actions of one API, requested as one: one card, one decision, one token. At most ten, of types that the
       * operator declared combinable. The API that runs them must list them in the same order.
       */
      readonly actions: A & readonly Action[];
      readonly action?: undefined;
      readonly scope?: undefined;
    }
  | {
      /** A scope that the operator declared as an action, instead of an action with fields. */
      readonly scope: string;
      readonly action?: undefined;
      readonly actions?: undefined;
    }
);

/**
 * An accepted approval request. Plain JSON: any process with the agent's credentials can `wait` for it or `redeem` it, also
 * after a restart. Times are milliseconds since the epoch.
 */
export type Ask<A extends Actions = Action> = {
  readonly issuer: string;
  readonly clientId: string;
  /**
   * The server's `auth_req_id`. It cannot be used without the agent's credentials; protect it like a session id.
   */
  readonly authReqId: string;
  readonly idempotencyKey: string;
  /** The requested action, or the list of requested actions. */
  readonly action: A;
  readonly askedAt: number;
  /** When the request expires, by this machine's clock. The server's clock decides. */
  readonly expiresAt: number;
  /** Minimum time between two token requests. */
  readonly intervalSeconds: number;
  /**
   * True if the server returned an existing request: an identical one was pending, or the idempotency key was used before.
   */
  readonly joined: boolean;
};

/**
 * The result of `ask`. `refused`: no approver was notified, and repeating the request will not help. `error` is the
 * server's error code (CIBA §13).
 */
export type Asked<A extends Actions = Action> =
  | { readonly outcome: "asked"; readonly ask: Ask<A> }
  | AskRefused<AskError>;

/** Pauses between attempts, in milliseconds. */
const retryPausesMs = [250, 1_000, 4_000];
const maxPauseMs = 30_000;

/** Sends an authentication request (CIBA §7.1) in at most four attempts, all with the same idempotency key. */
export async function ask<A extends Actions>(
  connection: Connection,
  request: NewAsk<A>,
  signal?: AbortSignal,
): Promise<Asked<A>> {
  const { idempotencyKey = crypto.randomUUID() } = request;
  if (!/^[\x21-\x7e]{1,255}$/.test(idempotencyKey))
    throw new InvalidArgumentError("idempotencyKey must be 1 to 255 visible ASCII characters");
  const action = getAction(request);
  requireJson(action, request.actions ? "actions" : "action");
  const parameters = {
    scope: request.scope === undefined ? "openid" : `openid ${request.scope}`,
    login_hint: request.approver,
    authorization_details: request.actions ?? (request.action && [request.action]),
    binding_message: request.message,
    user_code: request.userCode,
    requested_expiry: request.lifetimeSeconds,
    resource: request.resource,
    client_notification_token: await connection.callback?.tokens.make(idempotencyKey),
  };
  // The callback can arrive before the response.
  connection.callback?.callbackInbox.expect(idempotencyKey);
  const headers = { "idempotency-key": idempotencyKey };

  // Set by an attempt whose outcome is unknown: the server may have received the request.
  let lastFailure: CountersignError | undefined;
  for (let attempt = 0; ; attempt += 1) {
    const reply = await connection.post("backchannel_authentication_endpoint", parameters, {
      headers,
      signal,
    });
    let retryAfterMs = 0;
    if ("failure" in reply) lastFailure = reply.failure;
    else if (reply.status === 200) {
      const { issuer, clientId, clock } = connection;
      const times = parseAcknowledgement(reply, clock.now());
      connection.callback?.callbackInbox.expect(idempotencyKey, times.authReqId);
      return { outcome: "asked", ask: { issuer, clientId, idempotencyKey, action, ...times } };
    } else if (isUnavailable(reply.status)) retryAfterMs = reply.retryAfterMs ?? 0;
    else return parseRefusal(reply);

    const pauseMs = retryPausesMs[attempt];
    if (pauseMs === undefined || retryAfterMs > maxPauseMs) {
      if (!lastFailure && !("failure" in reply)) return parseRefusal(reply);
      throw createNoResponseError(
        `no response to the request in ${attempt + 1} attempts; retry with idempotencyKey ${idempotencyKey}`,
        lastFailure,
      );
    }
    await connection.clock.sleep(Math.max(pauseMs, retryAfterMs), signal);
  }
}

/** Returns the requested action or actions. A scope becomes an action with the scope as its type, and no fields. */
export function getAction<A extends Actions>(request: NewAsk<A>): A {
  return request.action ?? request.actions ?? ({ type: request.scope } as A);
}

function parseAcknowledgement(
  { body }: ServerReply,
  now: number,
): Pick<Ask, "authReqId" | "askedAt" | "expiresAt" | "intervalSeconds" | "joined"> {
  const { auth_req_id: authReqId, expires_in: expiresIn, interval = 5, joined } = body ?? {};
  if (
    typeof authReqId !== "string" ||
    typeof expiresIn !== "number" ||
    typeof interval !== "number" ||
    interval <= 0
  )
    throw new ResponseError("the response lacks auth_req_id, expires_in or interval");
  return {
    authReqId,
    askedAt: now,
    expiresAt: now + expiresIn * 1000,
    intervalSeconds: interval,
    joined: joined === true,
  };
}
