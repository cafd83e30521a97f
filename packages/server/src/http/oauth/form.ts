/**
 * Strict parser of `application/x-www-form-urlencoded`. Refuses invalid encoding and repeated parameters (RFC 6749 §3.1,
 * §3.2). Empty parameters count as absent (same sections).
 */
import { readBody } from "../transport/body.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { OAuthError } from "./oauth-error.ts";

export type Form = ReadonlyMap<string, string>;

/** Reads the form of a request. Rejects with `OAuthError` `invalid_request` if media type, size or encoding is wrong. */
export async function readForm(request: ProtocolRequest): Promise<Form> {
  return parseForm(await readBody(request, "application/x-www-form-urlencoded"));
}

/** Parses a form body. Throws `OAuthError` `invalid_request` if it is invalid. */
export function parseForm(text: string): Form {
  const form = new Map<string, string>();
  if (text === "") return form;
  const seen = new Set<string>();
  for (const pair of text.split("&")) {
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decode(pair.slice(equals + 1));
    if (seen.has(name)) throw new OAuthError("invalid_request", "a parameter is repeated");
    seen.add(name);
    if (value !== "") form.set(name, value);
  }
  return form;
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.includes("+") ? text.replaceAll("+", " ") : text);
  } catch {
    throw new OAuthError("invalid_request", "a parameter is not well-formed UTF-8");
  }
  if (decoded.includes("\0")) throw new OAuthError("invalid_request", "a parameter contains a NUL character");
  return decoded;
}

/** Returns a required parameter. Throws `invalid_request` if it is missing. */
export function requireParameter(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined) throw new OAuthError("invalid_request", `${name} is missing`);
  return value;
}
