import { formatPath, type Json } from "./json.ts";

/**
 * Serializes a value in canonical form (RFC 8785, JCS): no white space, members ordered by the UTF-16 code units of their
 * names, only the required escapes. Everything hashed or signed in this protocol is such a string in UTF-8.
 *
 * @param value - JSON of this protocol.
 * @returns The canonical JSON.
 * @throws {TypeError} With the path of the first value outside the protocol's JSON: a number that is not a safe integer, a
 * lone surrogate, undefined, or an object that is neither an array nor plain (a Date would be written as `{}`).
 * @example
 * canonicalize({ b: 1, a: "x" }); // '{"a":"x","b":1}'
 */
export function canonicalize(value: Json): string {
  return write(value, []);
}

function write(value: Json, steps: (string | number)[]): string {
  if (typeof value === "string") return writeString(value, steps);
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? `${value}` : refuse(steps, "is not a safe integer");
  }
  if (value === null || typeof value === "boolean") return `${value}`;
  if (Array.isArray(value)) return writeArray(value, steps);
  if (isPlain(value)) return writeObject(value, steps);
  return refuse(steps, "is not JSON");
}

function writeArray(array: readonly Json[], steps: (string | number)[]): string {
  let text = "[";
  for (let index = 0; index < array.length; index++) {
    steps.push(index);
    text += index === 0 ? write(array[index]!, steps) : `,${write(array[index]!, steps)}`;
    steps.pop();
  }
  return `${text}]`;
}

function writeObject(object: { readonly [key: string]: Json }, steps: (string | number)[]): string {
  let text = "{";
  for (const key of Object.keys(object).sort()) {
    steps.push(key);
    text += `${text === "{" ? "" : ","}${writeString(key, steps)}:${write(object[key]!, steps)}`;
    steps.pop();
  }
  return `${text}}`;
}

/** Most strings need no escape; this test takes a third of the time of JSON.stringify. */
const special = /["\\\x00-\x1f\ud800-\udfff]/;

/** JSON.stringify escapes exactly what RFC 8785 §3.2.2.2 escapes, once lone surrogates are out of the way. */
function writeString(text: string, steps: (string | number)[]): string {
  if (!special.test(text)) return `"${text}"`;
  return text.isWellFormed() ? JSON.stringify(text) : refuse(steps, "contains a lone surrogate");
}

function isPlain(value: unknown): value is { readonly [key: string]: Json } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function refuse(steps: readonly (string | number)[], fault: string): never {
  throw new TypeError(`cannot canonicalize: ${formatPath(steps)} ${fault}`);
}
