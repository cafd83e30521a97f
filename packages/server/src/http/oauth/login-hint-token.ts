/**
 * Verifies a `login_hint_token` (CIBA §7.1): a hint signed by a configured issuer, so that the agent can pass it on without
 * knowing the approver. Like any hint, it only selects among the approvers whom the policy allows. It can be used for any
 * number of requests until `exp`, at most 24 h ahead; rate limits apply to the requests. It is neither stored nor logged.
 */
import { clockToleranceSeconds, type Json, type JsonObject } from "@countersign/protocol";
import type { Settings } from "../../config/sections.ts";
import type { Keys } from "../../domain/client/client.ts";
import type { ClientJwtVerifier, JwtRefusal } from "../../outbound/client-jwt-verifier.ts";
import type { Store } from "../../store/store.ts";
import type { Hint } from "../../usecase/request/resolve-ask.ts";
import { hasJwtType, isAudience, readPayload, readUnverifiedIssuer } from "./jwt.ts";
import { readSubjectIdentifier } from "./login-hint.ts";
import { OAuthError } from "./oauth-error.ts";

export type LoginHintDeps = {
  readonly store: Store;
  readonly settings: Pick<Settings, "issuer">;
  readonly clientJwtVerifier: ClientJwtVerifier;
  /** Keys of the configured issuers, by `iss`. */
  readonly loginHintKeys: ReadonlyMap<string, Keys>;
};

const maxLifetimeSeconds = 24 * 3600;

/** Verifies the token and returns its hint. Rejects with `OAuthError` if it is invalid, expired or matches no approver. */
export async function readLoginHintToken(deps: LoginHintDeps, token: string): Promise<Hint> {
  const issuer = readUnverifiedIssuer(token) ?? "";
  const keys = deps.loginHintKeys.get(issuer);
  if (!keys) throw createHintTokenError("is from an unknown issuer");
  const verifyOptions = { issuer, requiredClaims: ["aud", "exp"], clockTolerance: clockToleranceSeconds };
  const verified = await deps.clientJwtVerifier.verify({ keys }, token, verifyOptions);
  if ("refused" in verified) throw toOAuthError(verified.refused);
  const { payload, protectedHeader } = verified;
  if (!hasJwtType(protectedHeader.typ, "login-hint+jwt")) throw createHintTokenError("has the wrong typ");
  if (!isAudience(payload.aud, new Set([deps.settings.issuer])))
    throw createHintTokenError("has the wrong aud: it must be this issuer only");
  if ((payload.exp ?? 0) > deps.store.now() / 1000 + maxLifetimeSeconds + clockToleranceSeconds)
    throw createHintTokenError("is valid for more than 24 hours");
  const parsed = readPayload(token);
  const subject = "claims" in parsed ? toSubjectIdentifier(parsed.claims) : undefined;
  if (subject === undefined) throw createHintTokenError("has no sub_id, email or sub");
  const hint = readSubjectIdentifier(subject, deps.settings.issuer);
  if (!hint) throw new OAuthError("unknown_user_id", "no approver matches the login_hint_token");
  return hint;
}

/** Returns `sub_id` (RFC 9493 §4.1), or `email` or `sub` as a subject identifier. */
function toSubjectIdentifier({ sub_id, email, sub }: JsonObject): Json | undefined {
  if (sub_id !== undefined) return sub_id;
  if (email !== undefined) return { format: "email", email };
  return sub === undefined ? undefined : { format: "opaque", id: sub };
}

function toOAuthError(refused: JwtRefusal): OAuthError {
  if (refused === "expired")
    return new OAuthError("expired_login_hint_token", "login_hint_token has expired");
  if (refused === "unreachable")
    return createHintTokenError("cannot be verified: the keys of its issuer are unavailable");
  return createHintTokenError("is not signed by its issuer, or a required claim is missing");
}

function createHintTokenError(problem: string): OAuthError {
  return new OAuthError("invalid_request", `login_hint_token ${problem}`);
}
