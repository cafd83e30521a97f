/** Checks of JWT claims and headers, shared by all endpoints. Signatures are verified elsewhere. */
import { type JsonObject, type JsonRefusal, parseJson } from "@countersign/protocol";
import { decodeJwt } from "jose";

/** Returns true if every `aud` value is in `audiences`. A JWT with another audience could be replayed between the two. */
export function isAudience(aud: unknown, audiences: ReadonlySet<string>): boolean {
  const values: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return (
    values.length > 0 &&
    values.every((one) => typeof one === "string" && audiences.has(one.replace(/\/$/, "")))
  );
}

/** Returns true if `typ` is `expected`, `JWT` or absent (RFC 8725 §3.11). Most clients send none. */
export function hasJwtType(typ: unknown, expected: string): boolean {
  if (typ === undefined) return true;
  if (typeof typ !== "string") return false;
  const type = typ.toLowerCase().replace(/^application\//, "");
  return type === "jwt" || type === expected;
}

/** Returns the unverified `iss`; undefined if it is missing or `jwt` is not a JWT. */
export function readUnverifiedIssuer(jwt: string): string | undefined {
  try {
    const { iss } = decodeJwt<{ iss?: unknown }>(jwt);
    return typeof iss === "string" ? iss : undefined;
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Parses the payload of a verified JWT with the strict JSON parser, which refuses duplicate keys. */
export function readPayload(jwt: string): { readonly claims: JsonObject } | JsonRefusal {
  let text: string;
  try {
    text = utf8.decode(Buffer.from(jwt.split(".")[1] ?? "", "base64url"));
  } catch {
    return { refused: "not_json", path: "$" };
  }
  const parsed = parseJson(text);
  return "refused" in parsed ? parsed : { claims: parsed.value as JsonObject };
}
