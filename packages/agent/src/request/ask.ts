import type { AskError } from "@countersign/protocol";
import { type CountersignError, InvalidArgumentError, ResponseError } from "@countersign/protocol/client";
import { type Connection, isUnavailable, type TokenReply, unansweredError } from "../connection.ts";
import { type Action, type Actions, requireJson } from "./action.ts";
import { type AskRefused, readRefusal } from "./refusal.ts";

/** An approval request: the action, the approver and optional limits. */
export type NewAsk<A extends Actions = Action> = {
  /**
   * `"owner"` applies the operator's rule; an e-mail address selects one of the approvers that the rule allows. Set it in
   * code: never let a language model provide it.
   */
  readonly approver: "owner" | (string & {});
  /** A message to the approver, shown in quotation marks as the agent's. At most 256 characters. */
  readonly message?: string;
  /** The approver's user code (CIBA `user_code`), required if the agent is registered for it. */
  readonly userCode?: string;
  /** Seconds until the request expires. Default and maximum: those of the action type. */
  readonly lifetimeSeconds?: number;
  /**
   * Identifies this intention, for example a ticket number: 1 to 255 visible ASCII characters. A repeated key returns the
   * first request, whatever its outcome; a new request needs a new key. Default: a random key.
   */
  readonly idempotencyKey?: string;
  /**
   * The API that runs the action (RFC 8707). Default: the API of the action type. Another one is refused.
   */
  readonly resource?: string;
} & (
  | { readonly action: A & Action; readonly actions?: undefined; readonly scope?: undefined }
  | {
      /**
       * Several actions of one API that are asked for as one: one card, one answer, one token for all of them. Only types that
       * the operator lets be approved together; at most ten. Their order is kept, and the API that acts must state it too.
       */
      readonly actions: A & readonly Action[];
      readonly action?: undefined;
      readonly scope?: undefined;
    }
  | {
      /** A scope that the operator declared as an action of its own, instead of an action with fields. */
      readonly scope: string;
      readonly action?: undefined;
      readonly actions?: undefined;
    }
);

/**
 * A request that a person is being asked to decide. Plain JSON: save it, and any process with the agent's credentials
 * can `wait` for it or `redeem` it, also after a crash. Times are milliseconds since the epoch.
 */
export type Ask<A extends Actions = Action> = {
  readonly issuer: string;
  readonly clientId: string;
  /**
   * The server's `auth_req_id`. It is of no use without the agent's credentials; keep it like a session id all the
   * same.
   */
  readonly authReqId: string;
  readonly idempotencyKey: string;
  /** What is asked for; of several, the list. */
  readonly action: A;
  readonly askedAt: number;
  /** When the request expires, by this machine's clock. The server's clock decides. */
  readonly expiresAt: number;
  /** Minimum time between two token requests. */
  readonly intervalSeconds: number;
  /**
   * True where the server knew this ask already: an identical one was waiting, or the idempotency key was used
   * before.
   */
  readonly joined: boolean;
};

/**
 * `refused`: nobody was disturbed, and asking the same again will not help. `error` is the server's code (CIBA
 * §13).
 */
export type Asked<A extends Actions = Action> =
  | { readonly outcome: "asked"; readonly ask: Ask<A> }
  | AskRefused<AskError>;

/** Pauses between attempts, in milliseconds. */
const pauses = [250, 1_000, 4_000];
const maxPauseMs = 30_000;

export async function ask<A extends Actions>(
  connection: Connection,
  wanted: NewAsk<A>,
  signal?: AbortSignal,
): Promise<Asked<A>> {
  const { idempotencyKey = crypto.randomUUID() } = wanted;
  if (!/^[\x21-\x7e]{1,255}$/.test(idempotencyKey))
    throw new InvalidArgumentError("idempotencyKey must be 1 to 255 visible ASCII characters");
  const action = actionOf(wanted);
  requireJson(action, wanted.actions ? "actions" : "action");
  const parameters = {
    scope: wanted.scope === undefined ? "openid" : `openid ${wanted.scope}`,
    login_hint: wanted.approver,
    authorization_details: wanted.actions ?? (wanted.action && [wanted.action]),
    binding_message: wanted.message,
    user_code: wanted.userCode,
    requested_expiry: wanted.lifetimeSeconds,
    resource: wanted.resource,
    client_notification_token: await connection.callback?.tokens.make(idempotencyKey),
  };
  // The callback can arrive before the response.
  connection.callback?.callbackInbox.expect(idempotencyKey);
  const headers = { "idempotency-key": idempotencyKey };

  // Set by an attempt whose outcome is unknown: the server may have received the request.
  let unanswered: CountersignError | undefined;
  for (let attempt = 0; ; attempt += 1) {
    const answer = await connection.post("backchannel_authentication_endpoint", parameters, {
      headers,
      signal,
    });
    let retryAfter = 0;
    if ("unanswered" in answer) unanswered = answer.unanswered;
    else if (answer.status === 200) {
      const { issuer, clientId, clock } = connection;
      const times = readTimes(answer, clock.now());
      connection.callback?.callbackInbox.expect(idempotencyKey, times.authReqId);
      return { outcome: "asked", ask: { issuer, clientId, idempotencyKey, action, ...times } };
    } else if (isUnavailable(answer.status)) retryAfter = answer.retryAfterMilliseconds ?? 0;
    else return readRefusal(answer);

    const pause = pauses[attempt];
    if (pause === undefined || retryAfter > maxPauseMs) {
      if (!unanswered && !("unanswered" in answer)) return readRefusal(answer);
      const repeat = `the same ask can be repeated with idempotencyKey ${idempotencyKey} without asking anybody twice`;
      throw unansweredError(`no answer to the ask in ${attempt + 1} attempts; ${repeat}`, unanswered);
    }
    await connection.clock.sleep(Math.max(pause, retryAfter), signal);
  }
}

/** What is asked for, one or several; a scope that is an action has its name as type, and no fields. */
export function actionOf<A extends Actions>(wanted: NewAsk<A>): A {
  return wanted.action ?? wanted.actions ?? ({ type: wanted.scope } as A);
}

function readTimes(
  { body }: TokenReply,
  now: number,
): Pick<Ask, "authReqId" | "askedAt" | "expiresAt" | "intervalSeconds" | "joined"> {
  const { auth_req_id: authReqId, expires_in: expiresIn, interval = 5, joined } = body ?? {};
  if (
    typeof authReqId !== "string" ||
    typeof expiresIn !== "number" ||
    typeof interval !== "number" ||
    interval <= 0
  )
    throw new ResponseError("the answer to the ask lacks auth_req_id, expires_in or interval");
  return {
    authReqId,
    askedAt: now,
    expiresAt: now + expiresIn * 1000,
    intervalSeconds: interval,
    joined: joined === true,
  };
}
