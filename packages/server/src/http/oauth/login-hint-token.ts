/**
 * `login_hint_token` (CIBA §7.1): whom to ask, signed by an issuer that the operator named, so that the agent can pass it
 * on without knowing who it is. Like any hint it only selects among those who may decide. It is good for as many asks as
 * its issuer lets it live, a day at most: what limits asks limits these, and a `jti` would only make the agent fetch a
 * token for each. It is not kept, and its claims are never logged.
 */
import type { Json, JsonObject } from "@countersign/protocol";
import type { Config } from "../../config/config.ts";
import type { Keys } from "../../domain/client/client.ts";
import type { ClientJwtVerifier, JwtRefusal } from "../../outbound/client-jwt-verifier.ts";
import type { Store } from "../../store/store.ts";
import type { Hint } from "../../usecase/request/resolve-ask.ts";
import { clockTolerance, isAudience, isTyped, readIssuer, readPayload } from "./jwt.ts";
import { readSubjectIdentifier } from "./login-hint.ts";
import { OAuthError } from "./oauth-error.ts";

export type LoginHintDeps = {
  readonly store: Store;
  readonly config: Config;
  readonly clientJwtVerifier: ClientJwtVerifier;
  /** Keys of those who may sign such a token, by their `iss`. */
  readonly loginHintKeys: ReadonlyMap<string, Keys>;
};

/** Seconds. */
const maxLifetimeSeconds = 24 * 3600;

export async function readLoginHintToken(deps: LoginHintDeps, token: string): Promise<Hint> {
  const issuer = readIssuer(token) ?? "";
  const keys = deps.loginHintKeys.get(issuer);
  if (!keys) throw invalid("is of no issuer that is known here");
  const wanted = { issuer, requiredClaims: ["aud", "exp"], clockTolerance };
  const verified = await deps.clientJwtVerifier.verify({ keys }, token, wanted);
  if ("refused" in verified) throw refusal(verified.refused);
  const { payload, protectedHeader } = verified;
  if (!isTyped(protectedHeader.typ, "login-hint+jwt")) throw invalid("says that it is something else (typ)");
  if (!isAudience(payload.aud, new Set([deps.config.issuer])))
    throw invalid("is not for this issuer alone (aud)");
  if ((payload.exp ?? 0) > deps.store.now() / 1000 + maxLifetimeSeconds + clockTolerance)
    throw invalid("is good for more than a day");
  const read = readPayload(token);
  const subject = "claims" in read ? subjectOf(read.claims) : undefined;
  if (subject === undefined) throw invalid("does not say who is meant: sub_id, email or sub");
  const hint = readSubjectIdentifier(subject, deps.config.issuer);
  if (!hint) throw new OAuthError("unknown_user_id", "nobody here can be meant by that login_hint_token");
  return hint;
}

/** `sub_id` (RFC 9493 §4.1), or an address, or the approver's id here. */
function subjectOf({ sub_id, email, sub }: JsonObject): Json | undefined {
  if (sub_id !== undefined) return sub_id;
  if (email !== undefined) return { format: "email", email };
  return sub === undefined ? undefined : { format: "opaque", id: sub };
}

function refusal(refused: JwtRefusal): OAuthError {
  if (refused === "expired")
    return new OAuthError("expired_login_hint_token", "login_hint_token has expired");
  if (refused === "unreachable")
    return invalid("cannot be checked: the keys of its issuer cannot be had now");
  return invalid("is not signed by its issuer, or lacks what it must hold");
}

function invalid(what: string): OAuthError {
  return new OAuthError("invalid_request", `login_hint_token ${what}`);
}
