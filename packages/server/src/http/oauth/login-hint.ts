/**
 * Parses `login_hint` (CIBA §7.1): an e-mail address, an approver id (the `sub` of tokens), `owner` for the approvers of
 * the policy, `group:` and a name, or a subject identifier in JSON (RFC 9493). `resolve-ask.ts` checks whether the approver
 * exists and may decide.
 */
import { type Json, type JsonObject, parseJson } from "@countersign/protocol";
import { normalizeEmail } from "../../domain/people/approver.ts";
import type { Hint } from "../../usecase/request/resolve-ask.ts";

const groupPrefix = "group:";

/** Returns undefined if the hint cannot identify an approver. */
export function readLoginHint(text: string, issuer: string): Hint | undefined {
  if (text === "owner") return { by: "policy" };
  if (text.startsWith(groupPrefix)) return { by: "group", group: text.slice(groupPrefix.length) };
  if (text.startsWith("{")) {
    const parsed = parseJson(text);
    return "refused" in parsed ? undefined : readSubjectIdentifier(parsed.value, issuer);
  }
  return toEmailOrIdHint(text);
}

/** Parses a subject identifier: exactly the members of its format (RFC 9493 §3). Returns undefined for other formats. */
export function readSubjectIdentifier(identifier: Json, issuer: string): Hint | undefined {
  if (typeof identifier !== "object" || identifier === null || Array.isArray(identifier)) return undefined;
  const { format, iss, sub, email, id } = identifier as JsonObject;
  const memberCount = Object.keys(identifier).length;
  if (format === "email" && memberCount === 2 && typeof email === "string") return toEmailHint(email);
  if (format === "opaque" && memberCount === 2 && typeof id === "string") return { by: "id", id };
  if (format === "iss_sub" && memberCount === 3 && typeof sub === "string" && isIssuer(iss, issuer))
    return { by: "id", id: sub };
  return undefined;
}

/** Compares issuers without a trailing slash, which clients add or omit. */
function isIssuer(iss: Json | undefined, issuer: string): boolean {
  return typeof iss === "string" && iss.replace(/\/$/, "") === issuer;
}

function toEmailOrIdHint(text: string): Hint {
  return text.includes("@") ? toEmailHint(text) : { by: "id", id: text };
}

function toEmailHint(email: string): Hint {
  return { by: "email", email: normalizeEmail(email) };
}
