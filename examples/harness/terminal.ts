/**
 * Terminal output of the demo: headings, wrapped sentences, and one status line that is updated in place. In a file or pipe, plain
 * lines only.
 */
import { styleText } from "node:util";

const out = process.stdout;
const margin = "   ";
const maxWidth = 92;
let hasProgressLine = false;

export const bold = (text: string): string => styleText("bold", text);
export const dim = (text: string): string => styleText("dim", text);
export const good = (text: string): string => styleText("green", text);
export const bad = (text: string): string => styleText("red", text);
export const link = (text: string): string => styleText(["bold", "cyan"], text);

/** Prints a line. */
export function printLine(text = ""): void {
  clearProgress();
  out.write(text === "" ? "\n" : `${margin}${text}\n`);
}

/** Prints a separator. */
export function printSeparator(): void {
  printLine();
  printLine(dim("─".repeat(Math.min(out.columns || maxWidth, maxWidth) - 2 * margin.length)));
}

export function printHeading(number: number, text: string): void {
  printLine();
  out.write(`${styleText("dim", String(number).padStart(1))}  ${bold(text)}\n`);
}

/** Prints sentences, wrapped at the window's width. */
export function printWrapped(text: string, style: (text: string) => string = (same) => same): void {
  for (const row of rows(text, 0)) printLine(style(row));
}

/** Prints an attempt, its status and the meaning. */
export function printAttempt(what: string, status: number, words: string): void {
  const colour = status < 300 ? good : status === 400 ? dim : bad;
  const head = `${what.padEnd(23)} ${colour(String(status))}  `;
  const indent = 29;
  for (const [at, row] of rows(words, indent).entries())
    printLine(`${at === 0 ? head : " ".repeat(indent)}${row}`);
}

function rows(text: string, indent: number): string[] {
  const width = Math.min(out.columns || maxWidth, maxWidth) - margin.length - indent - 1;
  const rows: string[] = [];
  for (const word of text.split(" ")) {
    const last = rows.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) rows.push(word);
    else rows[rows.length - 1] = `${last} ${word}`;
  }
  return rows;
}

/** Prints a status line, which the next line replaces. Prints nothing outside of a terminal. */
export function showProgress(text: string): void {
  if (!out.isTTY) return;
  out.write(`\r\x1b[2K${margin}${dim(text.slice(0, out.columns - margin.length - 1))}`);
  hasProgressLine = true;
}

function clearProgress(): void {
  if (hasProgressLine) out.write("\r\x1b[2K");
  hasProgressLine = false;
}
