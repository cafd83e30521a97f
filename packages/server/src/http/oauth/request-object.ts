/**
 * Verifies signed authentication requests (CIBA §7.1.1) of agents that are registered for signing. Such an agent must sign
 * every request with its registered algorithm; all parameters are then in the request object. The payload is parsed from its text with the strict
 * JSON parser, which detects duplicate keys and inexact numbers. Returns form-like parameters and the replay guard.
 */
import { hash } from "node:crypto";
import { clockToleranceSeconds, type Json, type JsonObject } from "@countersign/protocol";
import type { Settings } from "../../config/sections.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { ClientJwtVerifier, JwtRefusal } from "../../outbound/client-jwt-verifier.ts";
import type { Replay } from "../../store/record/replay.ts";
import type { Store } from "../../store/store.ts";
import type { Form } from "./form.ts";
import { hasJwtType, isAudience, readPayload } from "./jwt.ts";
import { OAuthError } from "./oauth-error.ts";

/** Parameters allowed beside a request object: client id and client authentication. */
const allowedFormParameters = [
  "request",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
];
/** Claims of the request object itself, which are not request parameters. */
const nonParameterClaims = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id"];
const numberParameters = ["requested_expiry", "request_expiry"];
const textParameters = [
  "scope",
  "acr_values",
  "login_hint",
  "login_hint_token",
  "id_token_hint",
  "binding_message",
  "user_code",
  "client_notification_token",
  "audience",
  "request",
  "request_uri",
];
/** Parameters that are JSON, which a form carries as text. */
const jsonParameters = ["authorization_details", "claims"];
/** Maximum lifetime of a request object, in seconds (FAPI-CIBA §5.2.2). */
const maxLifetimeSeconds = 3600;

export type RequestObjectDeps = {
  readonly store: Store;
  readonly settings: Pick<Settings, "issuer">;
  readonly clientJwtVerifier: ClientJwtVerifier;
};

export type AuthenticationRequestParameters = { readonly parameters: Form; readonly replayGuard?: Replay };

/** Verifies the request object in `request`, signed with `algorithm`. Returns its parameters, and the record against replay. */
export async function readRequestObject(
  deps: RequestObjectDeps,
  agent: Agent,
  algorithm: string,
  form: Form,
): Promise<AuthenticationRequestParameters> {
  const request = form.get("request");
  if (request === undefined)
    throw createRequestObjectError("this agent is registered to sign its requests: request is missing");
  const extraParameter = [...form.keys()].find((name) => !allowedFormParameters.includes(name));
  if (extraParameter !== undefined)
    throw createRequestObjectError("no other parameters are allowed beside a request object (CIBA §7.1.1)");
  const claims = await readClaims(deps, agent, algorithm, request);
  const jti = checkClaims(claims, agent, deps.store.now() / 1000);
  const replayGuard = {
    id: hash("sha256", JSON.stringify(["request object", agent.id, jti]), "base64url"),
    expiresAt: ((claims.exp as number) + 2 * clockToleranceSeconds) * 1000,
  };
  return { parameters: toParameters(claims), replayGuard };
}

/** Verifies a request object: signature, type, issuer, audience, lifetime. Returns its claims. */
async function readClaims(
  { clientJwtVerifier, settings }: RequestObjectDeps,
  agent: Agent,
  algorithm: string,
  request: string,
): Promise<JsonObject> {
  const verified = await clientJwtVerifier.verify(agent, request, {
    algorithms: [algorithm],
    issuer: agent.id,
    requiredClaims: ["aud", "exp", "iat", "nbf", "jti"],
    clockTolerance: clockToleranceSeconds,
  });
  if ("refused" in verified)
    throw createRequestObjectError(refusalTexts[verified.refused](verified.claim ?? algorithm));
  const { payload, protectedHeader } = verified;
  if (!hasJwtType(protectedHeader.typ, "oauth-authz-req+jwt"))
    throw createRequestObjectError("typ of the request is wrong");
  if (!isAudience(payload.aud, new Set([settings.issuer])))
    throw createRequestObjectError("aud of the request is not this issuer");
  return parseClaims(request);
}

const refusalTexts: { readonly [refusal in JwtRefusal]: (detail: string) => string } = {
  malformed: () =>
    "the request is not a JWT, or not signed with the algorithm that this agent is registered for",
  unknown_key: (algorithm) => `no registered key of this agent matches the request's kid and ${algorithm}`,
  forged: () => "the request is not signed by this agent",
  unreachable: () => "the keys of this agent cannot be fetched from its jwks_uri",
  expired: () => "the request has expired",
  claims: (claim) => `${claim} of the request is missing or invalid`,
};

/** Checks the claims beyond the signature. Returns the `jti`. */
function checkClaims(
  { exp, nbf, iat, jti, sub, client_id }: JsonObject,
  agent: Agent,
  nowSeconds: number,
): string {
  if (typeof exp !== "number" || typeof nbf !== "number" || typeof iat !== "number")
    throw createRequestObjectError("exp, nbf and iat of the request must be numbers");
  // This also bounds the age: an object with an older `nbf` has expired.
  if (exp - nbf > maxLifetimeSeconds)
    throw createRequestObjectError(`the request is valid for more than ${maxLifetimeSeconds} seconds`);
  if (iat > nowSeconds + clockToleranceSeconds)
    throw createRequestObjectError("iat of the request is in the future");
  if (typeof jti !== "string" || jti === "") throw createRequestObjectError("jti of the request is empty");
  // RFC 9101 §10.8: it could otherwise be taken for a client assertion.
  if (sub === agent.id) throw createRequestObjectError("sub of the request must not be the agent");
  if (client_id !== undefined && client_id !== agent.id)
    throw createRequestObjectError("client_id of the request is not its iss");
  return jti;
}

/** Parses the claims of a verified request object. */
export function parseClaims(request: string): JsonObject {
  const parsed = readPayload(request);
  if ("claims" in parsed) return parsed.claims;
  const inDetails = parsed.path.startsWith("$.authorization_details");
  const code = inDetails ? "invalid_authorization_details" : "invalid_request";
  throw new OAuthError(code, `the request cannot be read at ${parsed.path}: ${parsed.refused}`);
}

/** Converts claims to form parameters. Ignores unknown claims that are not strings. */
export function toParameters(claims: JsonObject): Form {
  const form = new Map<string, string>();
  for (const [name, value] of Object.entries(claims)) {
    if (nonParameterClaims.includes(name)) continue;
    const text = toParameterText(name, value);
    if (text?.includes("\0")) throw createRequestObjectError("a parameter contains a NUL character");
    if (text !== undefined && text !== "") form.set(name, text);
  }
  return form;
}

function toParameterText(name: string, value: Json): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" && numberParameters.includes(name)) return String(value);
  // The strict parser rejects inexact numbers and duplicate keys, so serializing again is lossless.
  if (jsonParameters.includes(name)) return JSON.stringify(value);
  if (name === "resource") {
    const [only, ...others]: readonly Json[] = Array.isArray(value) ? value : [];
    if (typeof only === "string" && others.length === 0) return only;
    throw new OAuthError("invalid_target", "resource must name one API: a token is for one API");
  }
  if (textParameters.includes(name) || numberParameters.includes(name))
    throw createRequestObjectError(`${name} of the request is not a string`);
  return undefined;
}

function createRequestObjectError(description: string): OAuthError {
  return new OAuthError("invalid_request", description);
}
