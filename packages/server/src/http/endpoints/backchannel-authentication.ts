/** `POST /bc-authorize` (CIBA §7.1 to §7.3): the agent's ask. */
import { type JsonObject, parseJson } from "@countersign/protocol";
import { lowerCase } from "../../approver/approver.ts";
import { levelOfAcr } from "../../approver/level.ts";
import { type AskInput, type AskRefusal, ask } from "../../operations/ask.ts";
import type { Hint } from "../../operations/gate.ts";
import { authenticateAgent } from "../client-authentication.ts";
import { type Form, readForm, required } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";
import type { Peer } from "../peer.ts";

const errors = {
  access_denied: { code: "access_denied", status: 403 },
  invalid_scope: { code: "invalid_scope", status: 400 },
  invalid_authorization_details: { code: "invalid_authorization_details", status: 400 },
  invalid_binding_message: { code: "invalid_binding_message", status: 400 },
  invalid_target: { code: "invalid_target", status: 400 },
  invalid_request: { code: "invalid_request", status: 400 },
  unknown_user_id: { code: "unknown_user_id", status: 400 },
} as const satisfies Record<AskRefusal, { code: OAuthErrorCode; status: 400 | 403 }>;

/** Known to the specifications, not to this server: refused, so that nobody believes they were honoured. */
const unsupported = ["request", "request_uri", "user_code", "claims"];

export async function backchannelAuthentication(
  ground: HttpGround,
  request: Request,
  peer: Peer,
): Promise<Response> {
  const form = await readForm(request);
  const agent = await authenticateAgent(ground, request, form, peer);
  const unknown = unsupported.find((name) => form.has(name));
  if (unknown) throw new OAuthError("invalid_request", `${unknown} is not supported`);

  const answer = await ask(ground, agent.record.id, {
    ...readAsk(ground, form),
    idempotencyKey: readIdempotencyKey(request),
  });
  if ("refused" in answer) {
    const { code, status } = errors[answer.refused];
    throw new OAuthError(code, answer.why, { status });
  }
  return Response.json(
    {
      auth_req_id: ground.tickets.issue(answer.approval, agent.record.id),
      expires_in: Math.max(1, Math.ceil((answer.expiresAt - ground.store.now()) / 1000)),
      interval: ground.config.limits.pollIntervalSeconds,
      ...(answer.joined && { joined: true }),
    },
    { headers: { "cache-control": "no-store" } },
  );
}

function readAsk(ground: HttpGround, form: Form): Omit<AskInput, "idempotencyKey"> {
  const resource = form.get("resource");
  const audience = form.get("audience");
  if (resource !== undefined && audience !== undefined && resource !== audience)
    throw new OAuthError("invalid_target", "resource and audience name two different APIs");
  return {
    details: form.get("authorization_details"),
    scopes: [...new Set(required(form, "scope").split(" ").filter(Boolean))],
    hint: readHint(ground, form),
    message: form.get("binding_message"),
    requestedExpirySeconds: readExpiry(form.get("requested_expiry") ?? form.get("request_expiry")),
    audience: readText(resource ?? audience),
    level: readAcr(form.get("acr_values")),
  };
}

/** Exactly one hint (CIBA §7.1). `login_hint` is an e-mail address, an approver's id, `owner`, or RFC 9493 in JSON. */
function readHint({ config }: HttpGround, form: Form): Hint {
  const given = ["login_hint", "login_hint_token", "id_token_hint"].filter((name) => form.has(name));
  if (given.length !== 1)
    throw new OAuthError("invalid_request", "give exactly one hint of who is to be asked");
  const hint = form.get("login_hint");
  if (hint === undefined)
    throw new OAuthError("invalid_request", `${given[0]} is not supported; use login_hint`);
  if (hint === "owner") return { by: "owner" };
  if (hint.startsWith("{")) return readSubjectIdentifier(hint, config.issuer);
  return hint.includes("@") ? { by: "email", email: lowerCase(hint) } : { by: "id", id: hint };
}

function readSubjectIdentifier(text: string, issuer: string): Hint {
  const parsed = parseJson(text);
  if ("refused" in parsed)
    throw new OAuthError("invalid_request", "login_hint begins like JSON and cannot be read as such");
  const { format, iss, sub, email, id } = parsed.value as JsonObject;
  if (format === "email" && typeof email === "string") return { by: "email", email: lowerCase(email) };
  if (format === "opaque" && typeof id === "string") return { by: "id", id };
  const ours = typeof iss === "string" && iss.replace(/\/$/, "") === issuer;
  if (format === "iss_sub" && typeof sub === "string" && ours) return { by: "id", id: sub };
  throw new OAuthError("unknown_user_id", "login_hint is no subject identifier of this issuer");
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
  const level = text.split(" ").map(levelOfAcr).find(Boolean);
  if (!level) throw new OAuthError("invalid_request", "none of the acr_values can be honoured here");
  return level;
}

function readText(text: string | undefined): string | undefined {
  if (text === "undefined") throw new OAuthError("invalid_target", "the audience is the word undefined");
  return text;
}

function readIdempotencyKey(request: Request): string | undefined {
  const key = request.headers.get("idempotency-key");
  if (key === null) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    throw new OAuthError("invalid_request", "Idempotency-Key is 1 to 255 visible ASCII characters");
  return key;
}
