/** The reason why a text may not be shown. See `inspectText`. */
export type TextFault = "not_nfc" | "invisible" | "padding" | "stacked_marks" | "too_long";

// Characters that draw nothing or move other text, by category and property (\p{C} includes bidi controls, Cf), and blank
// characters that Unicode classifies as letters or symbols: Braille, a null notehead, hieroglyphs.
const unseen = "\\p{C}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u{2800}\\u{1D159}\\u{13441}\\u{13442}";
const invisible = new RegExp(`[${unseen}]|(?! )\\p{Zs}`, "u");
const invisibleButLineBreak = new RegExp(`(?!\\n)[${unseen}]|(?! )\\p{Zs}`, "u");
const padding = /^[ \n]|[ \n]$| {2}|\n ?\n ?\n/;
const stackedMarks = /\p{M}{5}/u;

/**
 * Returns why a text may not be shown to a person, or undefined if it may. It never repairs a text.
 *
 * - `invisible`: control, format, unassigned, private-use and surrogate code points, separators other than the space, bidi
 *   controls, default-ignorable code points (including emoji joiners and variation selectors), blanks.
 * - `padding`: a space or line break at either end, two spaces or two blank lines in a row.
 * - `stacked_marks`: five combining marks in a row.
 *
 * Unassigned code points depend on the runtime's Unicode version, so this check is used on input and in no digest.
 *
 * @param text - The text.
 * @param options - `maxCodePoints`: default, no limit. `lineBreaks` accepts `\n`; default false.
 * @returns The first fault, or undefined.
 * @example
 * inspectText("The customer returned the goods", { maxCodePoints: 256 }); // undefined
 */
export function inspectText(
  text: string,
  options: { maxCodePoints?: number; lineBreaks?: boolean } = {},
): TextFault | undefined {
  const { maxCodePoints = Number.POSITIVE_INFINITY, lineBreaks = false } = options;
  if (text.length > maxCodePoints && countCodePoints(text, maxCodePoints) > maxCodePoints) return "too_long";
  if ((lineBreaks ? invisibleButLineBreak : invisible).test(text)) return "invisible";
  if (text.normalize("NFC") !== text) return "not_nfc";
  if (padding.test(text)) return "padding";
  if (stackedMarks.test(text)) return "stacked_marks";
  return undefined;
}

/** Counts up to one more than the limit, so that a very long text costs no more. */
function countCodePoints(text: string, limit: number): number {
  let count = 0;
  for (const _ of text) if (++count > limit) break;
  return count;
}

/** Outside of the characters of an OAuth `error_description` (RFC 6749 §5.2): printable ASCII without `"` and `\`. */
const outsideErrorDescription = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/;
const allOutsideErrorDescription = new RegExp(outsideErrorDescription, "gu");

/**
 * Returns true if a text has only characters that an OAuth `error_description` may have (RFC 6749 §5.2): printable ASCII
 * without quotation mark and backslash.
 *
 * @param text - Any text, also an empty one.
 * @example
 * isErrorDescription('the action "refund"'); // false
 */
export function isErrorDescription(text: string): boolean {
  return !outsideErrorDescription.test(text);
}

/**
 * Replaces each character that an OAuth `error_description` may not have (RFC 6749 §5.2).
 *
 * @param text - Any text.
 * @param replace - Returns the replacement of a character. Default: `?`.
 * @example
 * toErrorDescription('no action "refund"'); // "no action ?refund?"
 */
export function toErrorDescription(text: string, replace: (character: string) => string = () => "?"): string {
  return text.replace(allOutsideErrorDescription, replace);
}
