/** What a yes brings, from the token endpoint or pushed: the token, held against what was asked for. */
import { isObject, type Json, type JsonObject } from "@countersign/protocol";
import { GrantMismatchError, isSameUrl, ResponseError } from "@countersign/protocol/client";
import { decodeJwt } from "jose";
import type { Connection } from "../connection.ts";
import { type Action, type Actions, type Granted, narrowedFields, widenedAt } from "../request/action.ts";
import type { Ask } from "../request/ask.ts";

/** A person said yes. The token is good for this one action, once, until `expiresAt`. */
export type Approved<A extends Actions = Action> = {
  readonly outcome: "approved";
  /** What may be done: use these values, not those that were asked for. */
  readonly action: Granted<A>;
  /** The fields in which the approver narrowed what was asked: `amount`; of several actions, `[1].amount`. */
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

/** From here on the approval is used up, so whatever does not fit is a fault, never a reason to try again. */
export function readApproved<A extends Actions>(
  { issuer, clientId, clock, prove }: Connection,
  ask: Ask<A>,
  body: JsonObject | undefined,
): Approved<A> {
  // A token that is not bound, where a bound one was asked for, is a downgrade (RFC 9449 §5).
  const type = prove ? "DPoP" : "Bearer";
  const { token, expiresIn, scope } = readToken(body, type);
  const action = readGranted(ask.action, body?.authorization_details);
  const approved: Omit<Approved<A>, "token" | "headers"> = {
    outcome: "approved",
    tokenType: type,
    action: action as Granted<A>,
    narrowed: narrowedIn(ask.action, action),
    expiresAt: clock.now() + expiresIn * 1000,
    scope,
    approver: readSubject(body?.id_token, issuer, clientId),
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

/** The members that every token response has (RFC 6749 §5.1). Throws where one is missing. */
export function readToken(
  body: JsonObject | undefined,
  type: Approved["tokenType"],
): { readonly token: string; readonly expiresIn: number; readonly scope: string } {
  const { access_token: token, token_type: tokenType, expires_in: expiresIn, scope } = body ?? {};
  if (typeof token !== "string" || token === "") throw malformed("access_token");
  if (typeof tokenType !== "string" || tokenType.toLowerCase() !== type.toLowerCase())
    throw malformed("token_type");
  if (typeof expiresIn !== "number" || expiresIn <= 0) throw malformed("expires_in");
  if (typeof scope !== "string") throw malformed("scope");
  return { token, expiresIn, scope };
}

/** RFC 9396 §7. A scope that is an action has no details; what was asked for is then the action itself. */
function readGranted(asked: Actions, details: Json | undefined): Actions {
  const several = isList(asked);
  const wanted: readonly Action[] = several ? asked : [asked];
  if (details === undefined && !several && Object.keys(asked).length === 1) return asked;
  // Each in its place, none left out and none added: half of what was approved as one is something else.
  if (!Array.isArray(details) || details.length !== wanted.length) throw malformed("authorization_details");
  const granted = wanted.map((one, at) => {
    const action: Json = details[at];
    if (!isObject(action) || typeof action.type !== "string") throw malformed("authorization_details");
    const widened = widenedAt(one, action, several ? `actions[${at}]` : "action");
    if (widened)
      throw new GrantMismatchError(`the server granted something that was not asked for: ${widened}`);
    return action as Action;
  });
  return several ? granted : granted[0]!;
}

function narrowedIn(asked: Actions, granted: Actions): string[] {
  if (!isList(asked) || !isList(granted)) return narrowedFields(asked as Action, granted as Action);
  return granted.flatMap((one, at) => narrowedFields(asked[at]!, one).map((field) => `[${at}].${field}`));
}

function isList(actions: Actions): actions is readonly Action[] {
  return Array.isArray(actions);
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
  if (!iss || !isSameUrl(iss, issuer) || !forUs || !sub) throw malformed("id_token");
  return sub;
}

function malformed(member: string): ResponseError {
  return new ResponseError(
    `the token response is malformed: ${member}. The approval is used up; ask a person again`,
  );
}
