import { hash } from "node:crypto";
import { canonicalize } from "./canonical.ts";
import type { Json, JsonObject } from "./json.ts";

/** One part of an action: everything that an approval binds, and nothing else. */
export type ActionPart = {
  /** The action type's name: the `type` of the authorization detail (RFC 9396 §2). */
  type: string;
  /** `hashJson` of the whole action type definition: schema, bound list, template. */
  typeHash: string;
  /** The bound fields by name, without `type` and without advisory fields. */
  bound: JsonObject;
};

/** An action of one API. `audience` is the `aud` of its token. */
export type Action = ActionPart & { audience: string };

/**
 * Computes the action digest: SHA-256 of the canonical form, in base64url. The server computes it from the request, the
 * verifier from the API call.
 *
 * @param action - The action.
 * @returns 43 characters.
 * @throws {TypeError} A bound value is not JSON of this protocol, as in `canonicalize`.
 * @example
 * actionDigest({ type: "refund", typeHash, audience: "https://payments.example", bound: { order: "A-1001" } });
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
 * Computes the digest of an action with one or more parts. With one part it equals `actionDigest`; digests of several parts
 * have a separate domain, so that neither can be mistaken for the other.
 *
 * @param audience - The audience of the API.
 * @param parts - The parts, in the order of the request.
 * @returns 43 characters of base64url.
 * @throws {TypeError} There is no part, or a bound value is not JSON of this protocol.
 * @example
 * partsDigest("https://payments.example", [{ type: "refund", typeHash, bound: { order: "A-1001" } }]);
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
 * Formats the first 60 bits of a digest for comparison by people, in Crockford's base32. Programs compare whole digests.
 *
 * @param digest - A SHA-256 digest in base64url.
 * @returns Twelve characters in three groups, such as `7K2M-Q9XD-4TCV`.
 * @throws {TypeError} The text is not a digest.
 * @example
 * shortDigest(actionDigest(action)); // "7K2M-Q9XD-4TCV"
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

/**
 * Computes the SHA-256 of a value's canonical form: the type hash of a definition, the card hash of a card.
 *
 * @param value - JSON of this protocol.
 * @returns 43 characters of base64url.
 * @throws {TypeError} The value is not JSON of this protocol, as in `canonicalize`.
 * @example
 * const typeHash = hashJson(definition);
 */
export function hashJson(value: Json): string {
  return hash("sha256", canonicalize(value), "base64url");
}
