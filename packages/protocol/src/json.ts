/**
 * Strict parser of untrusted JSON: a text that two parsers could interpret differently is rejected, with its path.
 * `JSON.parse` keeps the last of two equal keys and rounds 9007199254740993, so its result must not be signed.
 */

/** A JSON value of this protocol: its numbers are safe integers, its strings well-formed. Decimals are strings. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export type JsonRefusal = {
  refused: "not_json" | "duplicate_key" | "unsafe_number" | "lone_surrogate" | "too_deep" | "forbidden_key";
  /** The path of the fault: `$[0].amount` or `$['a key']`, in characters that an `error_description` may have. */
  path: string;
};

const maxDepth = 16;

/**
 * Parses a JSON text (RFC 8259) in one pass, up to the first fault. Also rejected: a duplicate key in an object; a number
 * that is not a safe integer in integer notation (fractions, exponents, `-0`, more than 2^53-1); a lone surrogate, escaped
 * or not; more than 16 nested arrays and objects; the key `__proto__`. For an accepted text, the value equals that of
 * `JSON.parse`.
 *
 * @param text - The JSON text.
 * @returns The value, or the reason of the rejection and its path.
 * @example
 * const parsed = parseJson(text);
 * if ("refused" in parsed) throw new Error(`${parsed.refused} at ${parsed.path}`);
 */
export function parseJson(text: string): { value: Json } | JsonRefusal {
  const reader = new Reader(text);
  const value = reader.document();
  return value === undefined ? reader.refusal! : { value };
}

/**
 * Returns true for a JSON object: neither null nor an array.
 *
 * @param value - A JSON value, or anything else.
 * @example
 * const parsed = parseJson(text);
 * if ("value" in parsed && isObject(parsed.value)) read(parsed.value.error);
 */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Formats a path, in characters that an OAuth `error_description` may have (RFC 6749 §5.2). */
export function formatPath(steps: readonly (string | number)[]): string {
  let path = "$";
  for (const step of steps) {
    if (typeof step === "number") path += `[${step}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(step)) path += `.${step}`;
    else path += `['${step.slice(0, 64).replace(/[^\x20-\x7e]|["'\\]/g, "?")}']`;
  }
  return path;
}

/** Each method parses what begins at `at` and moves past it, or returns undefined after setting `refusal`. */
class Reader {
  refusal: JsonRefusal | undefined = undefined;
  private at = 0;
  private readonly text: string;
  private readonly steps: (string | number)[] = [];

  constructor(text: string) {
    this.text = text;
  }

  document(): Json | undefined {
    const value = this.value();
    if (value === undefined) return undefined;
    return Number.isNaN(this.next()) ? value : this.refuse("not_json");
  }

  private value(): Json | undefined {
    const code = this.next();
    if (code === 0x22) return this.string();
    if (code === 0x7b) return this.object();
    if (code === 0x5b) return this.array();
    if (code === 0x2d || (code >= 0x30 && code <= 0x39)) return this.number(code);
    if (code === 0x74 && this.text.startsWith("true", this.at)) return this.skip(4, true);
    if (code === 0x66 && this.text.startsWith("false", this.at)) return this.skip(5, false);
    if (code === 0x6e && this.text.startsWith("null", this.at)) return this.skip(4, null);
    return this.refuse("not_json");
  }

  /** Skips white space. Returns the next code unit, or NaN at the end of the text. */
  private next(): number {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      this.at++;
    }
  }

  private refuse(refused: JsonRefusal["refused"]): undefined {
    this.refusal = { refused, path: formatPath(this.steps) };
  }

  private skip<T>(length: number, value: T): T {
    this.at += length;
    return value;
  }

  private object(): JsonObject | undefined {
    if (this.steps.length === maxDepth) return this.refuse("too_deep");
    const object: { [key: string]: Json } = {};
    this.at++;
    if (this.next() === 0x7d) return this.skip(1, object);
    for (;;) {
      if (this.next() !== 0x22) return this.refuse("not_json");
      const key = this.string();
      if (key === undefined) return undefined;
      this.steps.push(key);
      if (key === "__proto__") return this.refuse("forbidden_key");
      if (Object.hasOwn(object, key)) return this.refuse("duplicate_key");
      if (this.next() !== 0x3a) return this.refuse("not_json");
      this.at++;
      const member = this.value();
      if (member === undefined) return undefined;
      object[key] = member;
      this.steps.pop();
      const code = this.next();
      if (code === 0x7d) return this.skip(1, object);
      if (code !== 0x2c) return this.refuse("not_json");
      this.at++;
    }
  }

  private array(): Json[] | undefined {
    if (this.steps.length === maxDepth) return this.refuse("too_deep");
    const array: Json[] = [];
    this.at++;
    if (this.next() === 0x5d) return this.skip(1, array);
    for (;;) {
      this.steps.push(array.length);
      const item = this.value();
      if (item === undefined) return undefined;
      array.push(item);
      this.steps.pop();
      const code = this.next();
      if (code === 0x5d) return this.skip(1, array);
      if (code !== 0x2c) return this.refuse("not_json");
      this.at++;
    }
  }

  private string(): string | undefined {
    const text = this.text;
    const start = this.at + 1;
    let end = start;
    let escaped = false;
    let beyondAscii = false;
    for (;;) {
      const code = text.charCodeAt(end++);
      if (code === 0x22) break;
      if (code === 0x5c) {
        escaped = true;
        end++;
      } else if (code >= 0x80) {
        beyondAscii = true;
      } else if (!(code >= 0x20)) {
        return this.refuse("not_json"); // a control character, or the end of the text
      }
    }
    this.at = end;
    const value = escaped ? decode(text.slice(start - 1, end)) : text.slice(start, end - 1);
    if (value === undefined) return this.refuse("not_json");
    if ((escaped || beyondAscii) && !value.isWellFormed()) return this.refuse("lone_surrogate");
    return value;
  }

  private number(first: number): number | undefined {
    const start = first === 0x2d ? ++this.at : this.at;
    let magnitude = 0;
    let code = this.text.charCodeAt(this.at);
    while (code >= 0x30 && code <= 0x39) {
      magnitude = magnitude * 10 + (code - 0x30); // rounding keeps a number beyond 2^53-1 beyond it
      code = this.text.charCodeAt(++this.at);
    }
    const digits = this.at - start;
    if (digits === 0 || (digits > 1 && this.text.charCodeAt(start) === 0x30)) return this.refuse("not_json");
    const value = first === 0x2d ? -magnitude : magnitude;
    const whole = code !== 0x2e && code !== 0x65 && code !== 0x45;
    const exact = magnitude <= Number.MAX_SAFE_INTEGER && !Object.is(value, -0);
    return whole && exact ? value : this.refuse("unsafe_number");
  }
}

/** Decodes a string literal with escapes, the only part of the grammar that is left to `JSON.parse`. */
function decode(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}
