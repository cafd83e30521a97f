/** What every JWT that reaches an endpoint is held against beside its signature, whatever it is for. */
import { type JsonObject, type JsonRefusal, parseJson } from "@countersign/protocol";
import { decodeJwt } from "jose";

/** Seconds that another machine's clock may be wrong by. */
export const clockTolerance = 30;

/** Every audience named must be one of ours: a list that also names someone else could be replayed there, or from there. */
export function isAudience(aud: unknown, audiences: ReadonlySet<string>): boolean {
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return (
    named.length > 0 && named.every((one) => typeof one === "string" && audiences.has(one.replace(/\/$/, "")))
  );
}

/** What was signed to be something else is not taken for this (RFC 8725 §3.11). Most clients say nothing. */
export function isTyped(typ: unknown, own: string): boolean {
  if (typ === undefined) return true;
  if (typeof typ !== "string") return false;
  const type = typ.toLowerCase().replace(/^application\//, "");
  return type === "jwt" || type === own;
}

/** Whose it says it is; nothing about it has been checked. */
export function readIssuer(jwt: string): string | undefined {
  try {
    const { iss } = decodeJwt<{ iss?: unknown }>(jwt);
    return typeof iss === "string" ? iss : undefined;
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The payload of a JWT whose signature was checked, read so that no two readers could understand it differently. */
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
