import { canonicalize, type Json, type JsonObject, partsDigest } from "@countersign/protocol";
import { errors, type JWTPayload, jwtVerify } from "jose";
import { type Authorization, readPresentedToken } from "./call.ts";
import type { Discover } from "./discovery.ts";
import { createPossession, type PossessionDeps, readBound } from "./possession.ts";
import type { Problem } from "./problem.ts";
import { createReject, type Rejection, type RejectionReason } from "./rejection.ts";

/**
 * The action that a call is: its type's name and every bound field of that type, nothing else. Name each field, and take
 * each from where the call takes it. (A spread request body could bring its own `type`.)
 */
export type Action = { readonly type: string; readonly [field: string]: Json };

/**
 * What a call is: one action, or several that were approved as one, in the order in which they were asked for. (The empty
 * list makes TypeScript keep each place of a list apart; at run time it states nothing, and is refused.)
 */
export type DerivedActions = Action | readonly Action[] | readonly [];

/**
 * What the call is, or what builds it: called only once the token is known to be genuine, so that strangers cost nothing.
 */
export type DerivedAction<S extends DerivedActions = Action> = S | (() => S | Promise<S>);

/** What the token says, now known to be about this very call. */
export type Checked<S extends DerivedActions = Action> = {
  readonly outcome: "checked";
  /** What the call is, as it was stated. */
  readonly action: S;
  /** The agent that asked: the token's `client_id`. */
  readonly agent: string;
  /** Who approved: server ids of people. `subject` is the token's `sub`. */
  readonly approvedBy: readonly string[];
  readonly subject: string;
  readonly jti: string;
  /** The action digest, as the approver and the log have it. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
};

/** A genuine token beside the call it came with. `mismatch` is set where the two do not belong together. */
export type CheckedToken<S extends DerivedActions = Action> = {
  readonly token: string;
  /** Undefined where the stated action cannot be written as one. */
  readonly digest: string | undefined;
  readonly checked: Checked<S>;
  readonly mismatch: Rejection | undefined;
};

export type TokenCheckerDeps = PossessionDeps & {
  readonly pinnedTypes?: { readonly [type: string]: string };
  readonly clockToleranceSeconds?: number;
  readonly report: (problem: Problem) => void;
};

/** Asymmetric ones only: with a shared-secret algorithm, a public key would be a password that everybody knows. */
const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
const requiredClaims = ["exp", "sub", "jti", "client_id", "act_digest", "approved_by"];
const maxTokenLength = 16_384;

/**
 * Looks at a token and a call, and spends nothing. What cannot be known is a rejection; only what builds the
 * action may throw.
 */
export function createTokenChecker(deps: TokenCheckerDeps, discover: Discover) {
  const { audience, pinnedTypes = {}, clockToleranceSeconds: clockTolerance = 5, clock, report } = deps;
  const reject = createReject(audience);
  const possession = createPossession(deps);

  return async <S extends DerivedActions>(
    authorization: Authorization,
    stated: DerivedAction<S>,
  ): Promise<CheckedToken<S> | Rejection> => {
    const presented = readPresentedToken(authorization);
    if (!presented) return reject("no_token");
    const { token, scheme } = presented;
    if (token.length > maxTokenLength) return reject("invalid_token", { scheme });
    const facts = await open(token);
    if (typeof facts === "string") return reject(facts, { scheme });
    // A bearer token under its own scheme has nothing to prove, and waits for nothing.
    const lacking = facts.bound || scheme === "DPoP" ? await possession(presented, facts.bound) : undefined;
    if (lacking) return lacking;
    const action = typeof stated === "function" ? await stated() : stated;
    const actions: readonly Action[] = Array.isArray(action) ? action : [action];
    if (actions.length === 0 || !actions.every(hasType)) return reject("no_action");
    return { token, ...compare(facts, action, actions) };
  };

  /** What a genuine token for this API says. */
  async function open(token: string): Promise<Facts | RejectionReason> {
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
      if (isAboutToken(error)) return "invalid_token";
      report({ during: "check", error: error as Error, givenUp: true });
      return "unavailable";
    }
  }

  function compare<S extends DerivedActions>(
    { typeHashes, details, known }: Facts,
    stated: S,
    actions: readonly Action[],
  ): Omit<CheckedToken<S>, "token"> {
    const parts = actions.map(({ type, ...bound }, at) => ({ type, bound, typeHash: typeHashes[at] ?? "" }));
    const copies = parts.map(({ type, bound }): Action => ({ type, ...bound }));
    const action = (Array.isArray(stated) ? copies : copies[0]) as S;
    const checked: Checked<S> = { outcome: "checked", action, ...known };
    let digest: string | undefined;
    let mismatch: Rejection | undefined;
    try {
      digest = partsDigest(audience, parts);
      const pinned = ({ type, typeHash }: (typeof parts)[number]) =>
        !Object.hasOwn(pinnedTypes, type) || pinnedTypes[type] === typeHash;
      if (digest !== known.digest) mismatch = reject("digest_mismatch", difference(copies, details));
      else if (!parts.every(pinned)) mismatch = reject("type_changed");
    } catch (error) {
      // A field that came out undefined, a fraction: nobody can have approved that.
      const description = `The call is not an action: ${(error as Error).message}`;
      mismatch = reject("digest_mismatch", { description });
    }
    return { digest, checked, mismatch };
  }
}

type Facts = NonNullable<ReturnType<typeof readClaims>>;

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
    known: { agent: client_id, approvedBy: approved_by, subject: sub, jti, digest: act_digest, expiresAt },
    bound,
    typeHashes,
    details: claims.authorization_details as unknown,
  };
}

/** One for each action that was approved: a token for one has `act_type_hash`, a token for several `act_type_hashes`. */
function readTypeHashes({ act_type_hash: one, act_type_hashes: several }: JWTPayload): string[] | undefined {
  if (several === undefined) return typeof one === "string" ? [one] : undefined;
  if (one !== undefined || !Array.isArray(several) || several.length < 2) return undefined;
  return several.every((hash) => typeof hash === "string") ? several : undefined;
}

function hasType(action: Action | undefined): boolean {
  return typeof action?.type === "string" && action.type !== "";
}

/** Everything else (no answer, no usable key set) is about the server. */
function isAboutToken(error: unknown): boolean {
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

/**
 * Which fields differ, for the log of whoever wonders. The token's details are signed, so they are what was
 * approved.
 */
function difference(
  actions: readonly Action[],
  details: unknown,
): { differs: string[]; description: string } {
  const approved: readonly JsonObject[] = Array.isArray(details) ? details : [];
  const differs: string[] = [];
  const count = Math.max(actions.length, approved.length);
  for (let at = 0; at < count; at += 1) {
    const [ours, theirs] = [actions[at] ?? {}, approved[at] ?? {}];
    // Where there is one on each side, its fields need no place; a part that only one side has is named as a whole.
    const place = count === 1 ? "" : `[${at}]`;
    if (count > 1 && (at >= actions.length || at >= approved.length)) differs.push(place);
    else differs.push(...differing(ours, theirs).map((field) => (place ? `${place}.${field}` : field)));
  }
  const named = differs.filter((field) => /^(\[\d+\]\.?)?[\w.-]{0,64}$/.test(field)).slice(0, 8);
  const where = named.length > 0 ? `: ${named.join(", ")}` : "";
  return { differs, description: `The call is not the action that was approved${where}` };
}

function differing(ours: JsonObject, theirs: JsonObject): string[] {
  return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].filter((field) => {
    const [one, other] = [ours[field], theirs[field]];
    return one === undefined || other === undefined || canonicalize(one) !== canonicalize(other);
  });
}
