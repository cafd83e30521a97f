import {
  canonicalize,
  getErrorMessage,
  type Json,
  type JsonObject,
  partsDigest,
} from "@countersign/protocol";
import { toDiscoveryError } from "@countersign/protocol/client";
import { errors, type JWTPayload, jwtVerify } from "jose";
import { type Authorization, readPresentedToken } from "./call.ts";
import type { Discover } from "./discovery.ts";
import { createPossession, type PossessionDeps, readBound } from "./possession.ts";
import type { Problem } from "./problem.ts";
import { createReject, type Rejection, type RejectionReason } from "./rejection.ts";

/**
 * The action of a call: the name of its type and every bound field of that type. Name each field and read it from where
 * the call reads it; a spread request body could contain its own `type`.
 */
export type Action = { readonly type: string; readonly [field: string]: Json };

/**
 * One action, or several that were approved as one, in the order of the request. (The empty list makes TypeScript infer a
 * tuple; at run time it is rejected with `no_action`.)
 */
export type DerivedActions = Action | readonly Action[] | readonly [];

/** The action of a call, or a function that builds it. The function is called only for a valid token. */
export type DerivedAction<S extends DerivedActions = Action> = S | (() => S | Promise<S>);

/** The claims of a token that was validated against the call. */
export type Checked<S extends DerivedActions = Action> = {
  readonly outcome: "checked";
  /** The action that the API derived from the call. */
  readonly action: S;
  /** The requesting agent: the token's `client_id`. */
  readonly agent: string;
  /** The server's ids of the approvers. `subject` is the token's `sub`. */
  readonly approvedBy: readonly string[];
  readonly subject: string;
  readonly jti: string;
  /** The action digest, as signed by the approver and recorded in the audit log. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
};

/** A valid token and its call. `mismatch` is set if the token is not for this call. */
export type CheckedToken<S extends DerivedActions = Action> = {
  readonly token: string;
  /** Undefined if the derived action is not valid JSON of this protocol. */
  readonly digest: string | undefined;
  readonly checked: Checked<S>;
  readonly mismatch: Rejection | undefined;
};

export type TokenCheckerDeps = PossessionDeps & {
  readonly pinnedTypes?: { readonly [type: string]: string };
  readonly clockToleranceSeconds?: number;
  readonly report: (problem: Problem) => void;
};

/** Asymmetric algorithms only: with HMAC, a public key could be used as the secret. */
const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
const requiredClaims = ["exp", "sub", "jti", "client_id", "act_digest", "approved_by"];
const maxTokenLength = 16_384;

/** Validates a token against a call without spending it. Rejects only with an error of the function that builds the action. */
export function createTokenChecker(deps: TokenCheckerDeps, discover: Discover) {
  const { audience, pinnedTypes = {}, clockToleranceSeconds: clockTolerance = 5, clock, report } = deps;
  const reject = createReject(audience);
  const possession = createPossession(deps);

  return async <S extends DerivedActions>(
    authorization: Authorization,
    derived: DerivedAction<S>,
  ): Promise<CheckedToken<S> | Rejection> => {
    const presented = readPresentedToken(authorization);
    if (!presented) return reject("no_token");
    const { token, scheme } = presented;
    if (token.length > maxTokenLength) return reject("invalid_token", { scheme });
    const claims = await open(token);
    if (typeof claims === "string") return reject(claims, { scheme });
    // A bearer token needs no proof of possession.
    const rejection =
      claims.bound || scheme === "DPoP" ? await possession(presented, claims.bound) : undefined;
    if (rejection) return rejection;
    const action = typeof derived === "function" ? await derived() : derived;
    const actions: readonly Action[] = Array.isArray(action) ? action : [action];
    if (actions.length === 0 || !actions.every(isAction)) return reject("no_action");
    return { token, ...compare(claims, action, actions) };
  };

  /** Returns the claims of a valid token for this API. */
  async function open(token: string): Promise<TokenClaims | RejectionReason> {
    try {
      const { issuer, keys } = await discover();
      const currentDate = new Date(clock.now());
      const options = {
        algorithms,
        issuer,
        audience,
        typ: "at+jwt",
        requiredClaims,
        clockTolerance,
        currentDate,
      };
      const { payload } = await jwtVerify(token, keys, options);
      return readClaims(payload) ?? "invalid_token";
    } catch (error) {
      if (error instanceof errors.JWTExpired) return "expired_token";
      if (isTokenError(error)) return "invalid_token";
      report({
        during: "check",
        error: toDiscoveryError("the server's keys cannot be used", error),
        abandoned: true,
      });
      return "unavailable";
    }
  }

  function compare<S extends DerivedActions>(
    { typeHashes, details, claims }: TokenClaims,
    derived: S,
    actions: readonly Action[],
  ): Omit<CheckedToken<S>, "token"> {
    const parts = actions.map(({ type, ...bound }, at) => ({ type, bound, typeHash: typeHashes[at] ?? "" }));
    const copies = parts.map(({ type, bound }): Action => ({ type, ...bound }));
    const action = (Array.isArray(derived) ? copies : copies[0]) as S;
    const checked: Checked<S> = { outcome: "checked", action, ...claims };
    let digest: string | undefined;
    let mismatch: Rejection | undefined;
    try {
      digest = partsDigest(audience, parts);
      const pinned = ({ type, typeHash }: (typeof parts)[number]) =>
        !Object.hasOwn(pinnedTypes, type) || pinnedTypes[type] === typeHash;
      if (digest !== claims.digest) mismatch = reject("digest_mismatch", describeDifference(copies, details));
      else if (!parts.every(pinned)) mismatch = reject("type_changed");
    } catch (error) {
      // Not JSON of this protocol, such as an undefined field or a fraction: it cannot have been approved.
      const description = `The call is not a valid action: ${getErrorMessage(error)}`;
      mismatch = reject("digest_mismatch", { description });
    }
    return { digest, checked, mismatch };
  }
}

type TokenClaims = NonNullable<ReturnType<typeof readClaims>>;

function readClaims(claims: JWTPayload) {
  const { sub, jti, exp, client_id, act_digest, approved_by } = claims;
  const typeHashes = readTypeHashes(claims);
  if (typeof sub !== "string" || typeof jti !== "string" || typeof client_id !== "string") return undefined;
  if (typeof act_digest !== "string" || !typeHashes || typeof exp !== "number") return undefined;
  if (!Array.isArray(approved_by) || approved_by.length === 0) return undefined;
  if (!approved_by.every((one) => typeof one === "string")) return undefined;
  const bound = readBound(claims);
  if (bound === "unknown") return undefined;
  const expiresAt = exp * 1000;
  return {
    claims: { agent: client_id, approvedBy: approved_by, subject: sub, jti, digest: act_digest, expiresAt },
    bound,
    typeHashes,
    details: claims.authorization_details as unknown,
  };
}

/** Returns one hash for each approved action: a token for one has `act_type_hash`, a token for several `act_type_hashes`. */
function readTypeHashes({ act_type_hash: one, act_type_hashes: several }: JWTPayload): string[] | undefined {
  if (several === undefined) return typeof one === "string" ? [one] : undefined;
  if (one !== undefined || !Array.isArray(several) || several.length < 2) return undefined;
  return several.every((hash) => typeof hash === "string") ? several : undefined;
}

function isAction(action: Action | undefined): boolean {
  return typeof action?.type === "string" && action.type !== "";
}

/** Whether the token is invalid; all other errors (no response, no usable key set) concern the server. */
function isTokenError(error: unknown): boolean {
  return (
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  );
}

/** Returns the fields that differ, for diagnosis. The token's authorization details are signed: they were approved. */
function describeDifference(
  actions: readonly Action[],
  details: unknown,
): { differs: string[]; description: string } {
  const approved: readonly JsonObject[] = Array.isArray(details) ? details : [];
  const differs: string[] = [];
  const count = Math.max(actions.length, approved.length);
  for (let at = 0; at < count; at += 1) {
    const [ours, theirs] = [actions[at] ?? {}, approved[at] ?? {}];
    // A single action needs no index. An action that only one side has is named as a whole.
    const path = count === 1 ? "" : `[${at}]`;
    if (count > 1 && (at >= actions.length || at >= approved.length)) differs.push(path);
    else
      differs.push(...listDifferingFields(ours, theirs).map((field) => (path ? `${path}.${field}` : field)));
  }
  const named = differs.filter((field) => /^(\[\d+\]\.?)?[\w.-]{0,64}$/.test(field)).slice(0, 8);
  const where = named.length > 0 ? `: ${named.join(", ")}` : "";
  return { differs, description: `The call is not the action that was approved${where}` };
}

function listDifferingFields(ours: JsonObject, theirs: JsonObject): string[] {
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].filter((field) => {
    const [one, other] = [ours[field], theirs[field]];
    return one === undefined || other === undefined || canonicalize(one) !== canonicalize(other);
  });
}
