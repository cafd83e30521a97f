/**
 * Quotes untrusted text: for people, with a visible end, and for error text, whose alphabet is narrow (RFC 6749 §5.2:
 * %x20-21 / %x23-5B / %x5D-7E).
 */
import { toErrorDescription } from "@countersign/protocol";

/** Characters that look like a closing quotation mark, and the backslash that escapes them. */
const marks = /[\\"\u201C-\u201F\u2033\u2036\u275D\u275E\u301D-\u301F\uFF02]/g;

/** Quotes text in “ ”. Escapes quotation marks inside it, so that a value cannot seem to end early. */
export function quote(text: string): string {
  return `“${text.replaceAll(marks, "\\$&")}”`;
}

/** Converts text to the alphabet of `error_description`: other characters become their code point, <U+200B>. */
export function escapeErrorText(text: string): string {
  return toErrorDescription(text, (character) => `<U+${toHex(character)}>`);
}

/** Quotes a name that an agent chose, for error text: its first 40 characters in ' '. */
export function quoteErrorName(name: string): string {
  const characters = [...name];
  const rest = characters.length > 40 ? "..." : "";
  return `'${escapeErrorText(characters.slice(0, 40).join("")).replaceAll("'", "<U+0027>")}${rest}'`;
}

/** Formats the path of a member for error text: `$[0].amount`, or `$[0]['caf<U+00E9>']` if the name is not plain. */
export function formatErrorPath(steps: readonly (string | number)[]): string {
  let path = "$";
  for (const step of steps) {
    if (typeof step === "number") path += `[${step}]`;
    else path += /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(step) ? `.${step}` : `[${quoteErrorName(step)}]`;
  }
  return path;
}

function toHex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}
