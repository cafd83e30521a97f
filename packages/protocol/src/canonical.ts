import { type Json, spellPath } from "./json.ts";

/**
 * Writes a value as RFC 8785 (JCS) does: no white space, members ordered by the UTF-16 code units of their names, only
 * the escapes that JSON demands. Everything hashed or signed in this protocol is the UTF-8 form of such a string.
 * Throws a TypeError that names the path of anything outside the subset: a number that is not a safe integer, a lone
 * surrogate, undefined, and objects that are neither arrays nor plain (a Date would be written as `{}`).
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

/** Most strings hold nothing to escape; looking first costs a third of what JSON.stringify does. */
const special = /["\\\x00-\x1f\ud800-\udfff]/;

/** JSON.stringify escapes exactly what RFC 8785 §3.2.2.2 escapes, once lone surrogates are out of the way. */
function writeString(text: string, steps: (string | number)[]): string {
  if (!special.test(text)) return `"${text}"`;
  return text.isWellFormed() ? JSON.stringify(text) : refuse(steps, "holds a lone surrogate");
}

function isPlain(value: unknown): value is { readonly [key: string]: Json } {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function refuse(steps: readonly (string | number)[], fault: string): never {
  throw new TypeError(`cannot canonicalize: ${spellPath(steps)} ${fault}`);
}
