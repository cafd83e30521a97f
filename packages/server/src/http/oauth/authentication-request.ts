/**
 * The parameters of an authentication request (CIBA §7.1), read strictly into what an ask is. Parameters that no
 * specification knows are ignored; one that is known and cannot be honoured is refused, never dropped.
 */

import type { Agent } from "../../domain/client/client.ts";
import { parseAcr } from "../../domain/policy/level.ts";
import type { AskInput } from "../../usecase/request/ask.ts";
import { type Form, requireParameter } from "./form.ts";
import { type HintDeps, readHint } from "./hint.ts";
import { OAuthError } from "./oauth-error.ts";
import { type RequestObjectDeps, readParameters } from "./request-object.ts";

/** Known to the specifications, not to this server: refused, so that nobody believes they were honoured. */
const unsupported = ["request", "request_uri", "claims"];

export type AuthenticationRequestDeps = HintDeps & RequestObjectDeps;

export async function readAsk(
  deps: AuthenticationRequestDeps,
  agent: Agent,
  form: Form,
): Promise<Omit<AskInput, "idempotencyKey">> {
  const { parameters, replayGuard } = await readParameters(deps, agent, form);
  const unknown = unsupported.find((name) => parameters.has(name));
  if (unknown) throw new OAuthError("invalid_request", `${unknown} is not supported`);
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

/** RFC 6750 §2.1, and long enough for 128 bits (CIBA §7.1). One that nobody is called with is not looked at. */
function readNotificationToken({ delivery }: Agent, text: string | undefined): string | undefined {
  if (delivery.mode === "poll" || text === undefined) return undefined;
  const [, token = ""] = /^([A-Za-z0-9._~+/-]+)=*$/.exec(text) ?? [];
  // 22 characters of an alphabet of 66: six bits in each.
  if (token.length < 22 || text.length > 1024)
    throw new OAuthError(
      "invalid_request",
      "client_notification_token is 22 to 1024 characters: letters, digits and -._~+/, at its end also =",
    );
  return text;
}

/** `resource` (RFC 8707), or `audience`, by which some clients mean the same. One token is for one API. */
function readAudience(parameters: Form): string | undefined {
  const resource = parameters.get("resource");
  const audience = parameters.get("audience");
  if (resource !== undefined && audience !== undefined && resource !== audience)
    throw new OAuthError("invalid_target", "resource and audience name two different APIs");
  const named = resource ?? audience;
  // What a widely used client makes of a setting that is not set.
  if (named === "undefined") throw new OAuthError("invalid_target", "the audience is the word undefined");
  return named;
}

/** A positive decimal integer and nothing that merely converts to one: `1e3`, `0x10`, `+5` and `5.0` are refused. */
function readExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(text))
    throw new OAuthError("invalid_request", "requested_expiry is a positive integer");
  return Number(text);
}

/** The first level asked for that is known here: they come in order of preference. None known is refused, not dropped. */
function readAcr(text: string | undefined): AskInput["level"] {
  if (text === undefined) return undefined;
  const level = text.split(" ").map(parseAcr).find(Boolean);
  if (!level) throw new OAuthError("invalid_request", "none of the acr_values can be honoured here");
  return level;
}
