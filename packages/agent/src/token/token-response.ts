/** Parses and validates a token response, from the token endpoint or pushed, against the request. */
import { isObject, type Json, type JsonObject } from "@countersign/protocol";
import { GrantMismatchError, isSameUrl, ResponseError } from "@countersign/protocol/client";
import { decodeJwt } from "jose";
import type { Connection } from "../connection.ts";
import {
  type Action,
  type Actions,
  findWidenedPath,
  type Granted,
  listNarrowedFields,
} from "../request/action.ts";
import type { Ask } from "../request/ask.ts";

/** An approved request. The token is valid for the granted action, once, until `expiresAt`. */
export type Approved<A extends Actions = Action> = {
  readonly outcome: "approved";
  /** The granted action. Use these values, not the requested ones. */
  readonly action: Granted<A>;
  /** The fields that the approver narrowed: `amount`, or `[1].amount` for several actions. */
  readonly narrowed: readonly string[];
  /** Not enumerable, so that printing or serializing the outcome does not reveal it. */
  readonly token: string;
  /** `DPoP` if the token is bound to the agent's key, and so cannot be used alone. */
  readonly tokenType: "Bearer" | "DPoP";
  /**
   * Returns the headers for one request to the API: `Authorization` and, for a bound token, `DPoP` with a proof for this
   * method and URL. `nonce` is the nonce that the API required (RFC 9449 §9). Rejects with `ERR_INVALID_ARGUMENT` for an
   * invalid URL, and with `ERR_AUTHENTICATION` if the key cannot sign. Not enumerable.
   */
  readonly headers: (method: string, url: string | URL, nonce?: string) => Promise<Record<string, string>>;
  /** Expiry of the token, in milliseconds since the epoch, by this machine's clock. */
  readonly expiresAt: number;
  readonly scope: string;
  /** The server's id of the approver: the `sub` of the ID token. */
  readonly approver: string;
};

/**
 * Returns the approved outcome of a token response. Throws a ResponseError or a GrantMismatchError for an invalid response:
 * the approval is redeemed, so a retry cannot help.
 */
export function parseApproved<A extends Actions>(
  { issuer, clientId, clock, prove }: Connection,
  ask: Ask<A>,
  body: JsonObject | undefined,
): Approved<A> {
  // An unbound token instead of a requested bound one is a downgrade (RFC 9449 §5).
  const type = prove ? "DPoP" : "Bearer";
  const { token, expiresIn, scope } = parseToken(body, type);
  const action = parseGranted(ask.action, body?.authorization_details);
  const approved: Omit<Approved<A>, "token" | "headers"> = {
    outcome: "approved",
    tokenType: type,
    action: action as Granted<A>,
    narrowed: listNarrowed(ask.action, action),
    expiresAt: clock.now() + expiresIn * 1000,
    scope,
    approver: parseSubject(body?.id_token, issuer, clientId),
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

/** Returns the required members of a token response (RFC 6749 §5.1). Throws a ResponseError if one is missing. */
export function parseToken(
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

/** Returns the granted actions (RFC 9396 §7). A requested scope has no details, and is granted as requested. */
function parseGranted(asked: Actions, details: Json | undefined): Actions {
  const several = isList(asked);
  const requested: readonly Action[] = several ? asked : [asked];
  if (details === undefined && !several && Object.keys(asked).length === 1) return asked;
  // All requested actions in their order: a part of the list is not what was approved.
  if (!Array.isArray(details) || details.length !== requested.length)
    throw malformed("authorization_details");
  const granted = requested.map((one, at) => {
    const action: Json = details[at];
    if (!isObject(action) || typeof action.type !== "string") throw malformed("authorization_details");
    const widened = findWidenedPath(one, action, several ? `actions[${at}]` : "action");
    if (widened) throw new GrantMismatchError(`the server granted what was not requested: ${widened}`);
    return action as Action;
  });
  return several ? granted : granted[0]!;
}

function listNarrowed(asked: Actions, granted: Actions): string[] {
  if (!isList(asked) || !isList(granted)) return listNarrowedFields(asked as Action, granted as Action);
  return granted.flatMap((one, at) => listNarrowedFields(asked[at]!, one).map((field) => `[${at}].${field}`));
}

function isList(actions: Actions): actions is readonly Action[] {
  return Array.isArray(actions);
}

/**
 * Returns the `sub` of the ID token, after checking issuer and audience. The signature is not checked here: the token came
 * from the token endpoint over TLS (OpenID Connect Core §3.1.3.7, 6), or was validated as a push.
 */
function parseSubject(idToken: Json | undefined, issuer: string, clientId: string): string {
  if (typeof idToken !== "string") throw malformed("id_token");
  let claims: ReturnType<typeof decodeJwt>;
  try {
    claims = decodeJwt(idToken);
  } catch {
    throw malformed("id_token");
  }
  const { iss, aud, sub } = claims;
  const isForAgent = Array.isArray(aud) ? aud.includes(clientId) : aud === clientId;
  if (!iss || !isSameUrl(iss, issuer) || !isForAgent || !sub) throw malformed("id_token");
  return sub;
}

function malformed(member: string): ResponseError {
  return new ResponseError(
    `the token response is malformed: ${member}. The approval is redeemed; send a new request`,
  );
}
