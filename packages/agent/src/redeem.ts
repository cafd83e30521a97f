import { cibaGrantType, type Json, type JsonObject, type TokenError } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { type Action, type Granted, isObject, narrowedFields, widenedAt } from "./action.ts";
import type { Ask } from "./ask.ts";
import {
  type Answer,
  type Connection,
  isUnavailable,
  type PostOptions,
  type Unanswered,
} from "./connection.ts";
import { sameUrl } from "./metadata.ts";
import { type Refused, readRefusal } from "./refusal.ts";

/** A person said yes. The token is good for this one action, once, until `expiresAt`. */
export type Approved<A extends Action = Action> = {
  readonly outcome: "approved";
  /** What may be done: use these values, not those that were asked for. */
  readonly action: Granted<A>;
  /** The fields in which the approver narrowed what was asked. */
  readonly narrowed: readonly string[];
  /** Not enumerable, so that printing or saving this outcome does not carry the token along. */
  readonly token: string;
  /** `DPoP` where the agent asked for tokens that are bound to its key; then the token alone opens nothing. */
  readonly tokenType: "Bearer" | "DPoP";
  /**
   * The headers that a request to the API carries: `Authorization` with the token and, where the token is bound to the
   * agent's key, `DPoP` with a proof for this very request. `nonce` is what the API said it wants to see repeated (RFC 9449
   * §9). Not enumerable either.
   */
  readonly headers: (method: string, url: string | URL, nonce?: string) => Promise<Record<string, string>>;
  /** Milliseconds since the epoch, by this machine's clock. */
  readonly expiresAt: number;
  readonly scope: string;
  /** The server's id of the person who approved: the `sub` of the ID token. */
  readonly approver: string;
};
/** Nobody has decided yet. */
export type Pending<A extends Action = Action> = {
  readonly outcome: "pending";
  /** Milliseconds since the epoch: not before then again. */
  readonly retryAt: number;
  /** The ask to go on with: its interval is longer if the server said `slow_down`. */
  readonly ask: Ask<A>;
};
/** A person said no, with a reason if they gave one; or the operator withdrew the request. It is final. */
export type Denied = { readonly outcome: "denied"; readonly reason?: string };
/** Nobody decided in time, or the yes was not redeemed in time. Silence is not a yes. */
export type Expired = { readonly outcome: "expired" };
/**
 * The approval was turned into a token, and that token is not here: the answer never arrived, another process got it,
 * or this ask was redeemed before a crash. Whether the action was done is for you to find out. Then ask a person again.
 */
export type Lost = { readonly outcome: "lost" };

/** How an ask ended. Five outcomes, each final; none is ever turned into another, and none is retried. */
export type Outcome<A extends Action = Action> = Approved<A> | NotApproved;
export type NotApproved = Denied | Expired | Refused<TokenError> | Lost;
/** What one token request can answer. */
export type Redemption<A extends Action = Action> = Outcome<A> | Pending<A>;
/** What becomes of an action that runs only if it is countersigned: the result of `run`, or why it did not run. */
export type Countersigned<R> = { readonly outcome: "approved"; readonly result: R } | NotApproved;

/** Not decided, seen from the polling loop. `heard` is false where the server did not say how the ask stands. */
type Waiting<A extends Action> = {
  readonly outcome: "waiting";
  readonly milliseconds: number;
  readonly ask: Ask<A>;
  readonly heard: boolean;
};

/** Seconds by which `slow_down` lengthens the interval, for this and all later polls (CIBA §11). */
const slowDownSeconds = 5;

export async function redeemOnce<A extends Action>(
  connection: Connection,
  ask: Ask<A>,
  signal?: AbortSignal,
): Promise<Redemption<A>> {
  const answer = await redeem(connection, ask, { signal });
  if ("unanswered" in answer)
    throw new Error("the token request was not answered: redeem again to learn what became of it", {
      cause: answer.unanswered,
    });
  if (answer.outcome !== "waiting") return answer;
  return { outcome: "pending", retryAt: connection.clock.now() + answer.milliseconds, ask: answer.ask };
}

export async function redeem<A extends Action>(
  connection: Connection,
  ask: Ask<A>,
  options: Pick<PostOptions, "signal" | "holdSeconds">,
): Promise<Outcome<A> | Waiting<A> | Unanswered> {
  const { issuer, clientId, clock } = connection;
  if (ask.issuer !== issuer || ask.clientId !== clientId)
    throw new TypeError(
      `this ask belongs to ${ask.clientId} at ${ask.issuer}, not to ${clientId} at ${issuer}`,
    );
  const form = { grant_type: cibaGrantType, auth_req_id: ask.authReqId };
  const sentAt = clock.elapsed();
  const answer = await connection.post("token_endpoint", form, options);
  if ("unanswered" in answer) return answer;
  if (answer.status === 200) return readApproved(connection, ask, answer.body);
  return readStanding(ask, answer, clock.elapsed() - sentAt);
}

function readStanding<A extends Action>(
  ask: Ask<A>,
  answer: Answer,
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

/** The interval is measured from the sending of a request (CIBA §7.3), so that one which was held may be over already. */
function waiting<A extends Action>(ask: Ask<A>, answer: Answer, heldMilliseconds = 0): Waiting<A> {
  const interval = ask.intervalSeconds * 1000 - heldMilliseconds;
  const milliseconds = Math.max(interval, answer.retryAfterMilliseconds ?? 0, 0);
  return { outcome: "waiting", milliseconds, ask, heard: true };
}

/** From here on the approval is used up, so whatever does not fit is a fault, never a reason to try again. */
function readApproved<A extends Action>(
  { issuer, clientId, clock, prove }: Connection,
  ask: Ask<A>,
  body: JsonObject | undefined,
): Approved<A> {
  const {
    access_token: token,
    token_type: tokenType,
    expires_in: expiresIn,
    scope,
    id_token: idToken,
  } = body ?? {};
  if (typeof token !== "string" || token === "") throw malformed("access_token");
  // A token that is not bound, where a bound one was asked for, is a downgrade (RFC 9449 §5).
  const type = prove ? "DPoP" : "Bearer";
  if (typeof tokenType !== "string" || tokenType.toLowerCase() !== type.toLowerCase())
    throw malformed("token_type");
  if (typeof expiresIn !== "number" || expiresIn <= 0) throw malformed("expires_in");
  if (typeof scope !== "string") throw malformed("scope");
  const action = readAction(ask.action, body?.authorization_details);
  const approved: Omit<Approved<A>, "token" | "headers"> = {
    outcome: "approved",
    tokenType: type,
    action: action as Granted<A>,
    narrowed: narrowedFields(ask.action, action),
    expiresAt: clock.now() + expiresIn * 1000,
    scope,
    approver: readSubject(idToken, issuer, clientId),
  };
  const headers: Approved["headers"] = async (method, url, nonce) => ({
    authorization: `${type} ${token}`,
    ...(prove && { dpop: await prove({ method, url, nonce, token }) }),
  });
  return Object.defineProperties(approved, {
    token: { value: token },
    headers: { value: headers },
  }) as Approved<A>;
}

/** RFC 9396 §7. A scope that is an action has no details; what was asked for is then the action itself. */
function readAction(asked: Action, details: Json | undefined): Action {
  if (details === undefined && Object.keys(asked).length === 1) return asked;
  const [action, ...more] = Array.isArray(details) ? details : [];
  if (!isObject(action) || typeof action.type !== "string" || more.length > 0)
    throw malformed("authorization_details");
  const widened = widenedAt(asked, action);
  if (widened) throw new Error(`the server granted something that was not asked for: ${widened}`);
  return action as Action;
}

/**
 * Who approved. The ID token came straight from the token endpoint, which stands for its signature (OpenID Connect
 * Core §3.1.3.7, 6); issuer and audience are checked, and nothing of it is kept.
 */
function readSubject(idToken: Json | undefined, issuer: string, clientId: string): string {
  if (typeof idToken !== "string") throw malformed("id_token");
  let claims: ReturnType<typeof decodeJwt>;
  try {
    claims = decodeJwt(idToken);
  } catch {
    throw malformed("id_token");
  }
  const { iss, aud, sub } = claims;
  const forUs = Array.isArray(aud) ? aud.includes(clientId) : aud === clientId;
  if (!iss || !sameUrl(iss, issuer) || !forUs || !sub) throw malformed("id_token");
  return sub;
}

function malformed(member: string): Error {
  return new Error(`the token response is malformed: ${member}. The approval is used up; ask a person again`);
}
