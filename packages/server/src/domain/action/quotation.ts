/**
 * Foreign text between marks: for a person, where its end must be plain to see, and for error text, whose alphabet is
 * narrow (RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E).
 */
import { toErrorDescription } from "@countersign/protocol";

/** What looks like a closing mark, and the backslash that keeps it from being one. */
const marks = /[\\"\u201C-\u201F\u2033\u2036\u275D\u275E\u301D-\u301F\uFF02]/g;

/** The text in “ ”, as it is but for a backslash before marks of its own: no value can seem to end before it does. */
export function quote(text: string): string {
  return `“${text.replaceAll(marks, "\\$&")}”`;
}

/** The text in the alphabet of `error_description`: a character outside it becomes its code point, <U+200B>. */
export function escapeErrorText(text: string): string {
  return toErrorDescription(text, (character) => `<U+${toHex(character)}>`);
}

/** A name that an agent chose, for error text: its first 40 characters in ' '. */
export function quoteErrorName(name: string): string {
  const characters = [...name];
  const rest = characters.length > 40 ? "..." : "";
  return `'${escapeErrorText(characters.slice(0, 40).join("")).replaceAll("'", "<U+0027>")}${rest}'`;
}

/** The path of a member, as error text: `$[0].amount`, or `$[0]['caf<U+00E9>']` where the name is not a plain one. */
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
