/**
 * Parses the parameters of an authentication request (CIBA §7.1). Unknown parameters are ignored; a parameter that a
 * specification defines and this server does not support is refused.
 */
import type { Agent } from "../../domain/client/client.ts";
import { parseAcr } from "../../domain/policy/level.ts";
import type { AskInput } from "../../usecase/request/ask.ts";
import { type Form, requireParameter } from "./form.ts";
import { type HintDeps, readHint } from "./hint.ts";
import { OAuthError } from "./oauth-error.ts";
import {
  type AuthenticationRequestParameters,
  type RequestObjectDeps,
  readRequestObject,
} from "./request-object.ts";

/** Parameters of the specifications that are refused because ignoring them would mislead the client. */
const unsupportedParameters = ["request", "request_uri", "claims"];

export type AuthenticationRequestDeps = HintDeps & RequestObjectDeps;

/** Returns the parsed request. Rejects with `OAuthError` for the first invalid or unsupported parameter. */
export async function readAsk(
  deps: AuthenticationRequestDeps,
  agent: Agent,
  form: Form,
): Promise<Omit<AskInput, "idempotencyKey">> {
  const { requestAlgorithm } = agent;
  const { parameters, replayGuard }: AuthenticationRequestParameters =
    requestAlgorithm === undefined
      ? { parameters: requireUnsigned(form) }
      : await readRequestObject(deps, agent, requestAlgorithm, form);
  const unsupportedName = unsupportedParameters.find((name) => parameters.has(name));
  if (unsupportedName) throw new OAuthError("invalid_request", `${unsupportedName} is not supported`);
  return {
    details: parameters.get("authorization_details"),
    scopes: [...new Set(requireParameter(parameters, "scope").split(" ").filter(Boolean))],
    hint: await readHint(deps, agent, parameters),
    message: parameters.get("binding_message"),
    userCode: parameters.get("user_code"),
    requestedExpirySeconds: readExpiry(
      parameters.get("requested_expiry") ?? parameters.get("request_expiry"),
    ),
    audience: readAudience(parameters),
    level: readAcr(parameters.get("acr_values")),
    replayGuard,
    notificationToken: readNotificationToken(agent, parameters.get("client_notification_token")),
  };
}

/** Returns the form of an agent that does not sign its requests. */
function requireUnsigned(form: Form): Form {
  if (form.get("request") === undefined) return form;
  throw new OAuthError("invalid_request", "this agent is not registered to sign its requests (CIBA §7.1.1)");
}

/** RFC 6750 §2.1, with at least 128 bits (CIBA §7.1). Not checked for poll delivery, which does not use it. */
function readNotificationToken({ delivery }: Agent, text: string | undefined): string | undefined {
  if (delivery.mode === "poll" || text === undefined) return undefined;
  const [, token = ""] = /^([A-Za-z0-9._~+/-]+)=*$/.exec(text) ?? [];
  // 22 characters × 6 bits ≥ 128 bits.
  if (token.length < 22 || text.length > 1024)
    throw new OAuthError(
      "invalid_request",
      "client_notification_token must be 22 to 1024 characters: letters, digits and -._~+/, with = only at the end",
    );
  return text;
}

/** Returns `resource` (RFC 8707), or `audience`, which some clients send instead. A token is for one API. */
function readAudience(parameters: Form): string | undefined {
  const resource = parameters.get("resource");
  const audience = parameters.get("audience");
  if (resource !== undefined && audience !== undefined && resource !== audience)
    throw new OAuthError("invalid_target", "resource and audience name two different APIs");
  const target = resource ?? audience;
  // A widely used client sends this if its audience is not configured.
  if (target === "undefined")
    throw new OAuthError(
      "invalid_target",
      "the audience is the string undefined: check the client's configuration",
    );
  return target;
}

/** Parses a positive decimal integer. Rejects `1e3`, `0x10`, `+5` and `5.0`. */
function readExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(text))
    throw new OAuthError("invalid_request", "requested_expiry must be a positive integer");
  return Number(text);
}

/** Returns the first supported level of `acr_values`, which is in order of preference. Refuses if none is supported. */
function readAcr(text: string | undefined): AskInput["level"] {
  if (text === undefined) return undefined;
  const level = text.split(" ").map(parseAcr).find(Boolean);
  if (!level) throw new OAuthError("invalid_request", "none of the acr_values is supported");
  return level;
}
