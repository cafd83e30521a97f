import { hash } from "node:crypto";
import { canonicalize } from "./canonical.ts";
import type { Json, JsonObject } from "./json.ts";

/** One thing that would be done: everything that an approval binds of it, and nothing that it does not. */
export type ActionPart = {
  /** The action type's name: the `type` of the authorization detail (RFC 9396 §2). */
  type: string;
  /** `hashJson` of the whole action type definition: schema, bound list, template. */
  typeHash: string;
  /** The bound fields by name, without `type`; advisory fields never enter. */
  bound: JsonObject;
};

/** What would be done by one API, whose audience is the `aud` of the token. */
export type Action = ActionPart & { audience: string };

/**
 * The action digest: SHA-256 over the canonical form, base64url, 43 characters. The server computes it from what was
 * asked, the verifier from the call that it is about to make. Throws a TypeError where `canonicalize` does.
 */
export function actionDigest(action: Action): string {
  return hashJson({
    v: "countersign-action-v1",
    type: action.type,
    type_hash: action.typeHash,
    audience: action.audience,
    bound: action.bound,
  });
}

/**
 * The digest of an action that has several parts, in the order in which they were asked for; of one part it is
 * `actionDigest`. Neither can be taken for the other. Throws a TypeError where there is no part, or for what has no
 * canonical form.
 */
export function partsDigest(audience: string, parts: readonly Readonly<ActionPart>[]): string {
  const [first] = parts;
  if (!first) throw new TypeError("an action has at least one part");
  if (parts.length === 1) return actionDigest({ ...first, audience });
  return hashJson({
    v: "countersign-parts-v1",
    audience,
    parts: parts.map(({ type, typeHash, bound }) => ({ type, type_hash: typeHash, bound })),
  });
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/**
 * The digest as people compare it: its first 60 bits in Crockford's base32, as in `7K2M-Q9XD-4TCV`. For eyes only: a
 * program compares whole digests. Throws a TypeError for what is not a digest.
 */
export function shortDigest(digest: string): string {
  const bytes = Buffer.from(digest, "base64url");
  if (bytes.length !== 32 || bytes.toString("base64url") !== digest)
    throw new TypeError("not a SHA-256 digest in base64url");
  const bits = bytes.readBigUInt64BE();
  let text = "";
  for (let symbol = 0; symbol < 12; symbol++) {
    if (symbol === 4 || symbol === 8) text += "-";
    text += crockford[Number((bits >> BigInt(59 - 5 * symbol)) & 31n)];
  }
  return text;
}

/** SHA-256 of the canonical form, base64url, 43 characters: the type hash of a definition, the card hash of a card. */
export function hashJson(value: Json): string {
  return hash("sha256", canonicalize(value), "base64url");
}
