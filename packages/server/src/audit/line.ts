/**
 * Format of a log export: JSON Lines in UTF-8, each line ended by one "\n".
 *
 *     {"countersign_log":1,"key":"<verifier key>","origin":"<the log's origin>","size":<entries>}
 *     {"entry":"<the leaf, as a string>","index":<from 0>,"texts":{"<name>":{"salt":"…","text":"…"}}}
 *     {"checkpoint":"<signed note>"}
 *
 * First the header, then every entry in order, each checkpoint directly after the last entry that it covers; the last line
 * is the newest checkpoint. `texts` is absent if the entry has none or they were erased. Every line is canonical JSON
 * (RFC 8785), so that no byte can change without changing the content.
 */
import { isUtf8 } from "node:buffer";
import { canonicalize, isObject, type Json, type JsonObject, parseJson } from "@countersign/protocol";
import type { Texts } from "./parse-entry.ts";

export type Header = { readonly origin: string; readonly key: string; readonly size: number };
export type EntryRow = { readonly index: number; readonly entry: string; readonly texts: Texts };
export type CheckpointRow = { readonly checkpoint: string };
export type Row =
  | ({ readonly row: "header" } & Header)
  | ({ readonly row: "entry" } & EntryRow)
  | ({ readonly row: "checkpoint" } & CheckpointRow);

/** A line without "\n". Bytes are checked to be UTF-8; text is not. */
export type Line = string | Uint8Array;

export type RowRefusal = "not_utf8" | "not_json" | "not_canonical" | "unknown_row";

const version = 1;

export function formatHeader({ origin, key, size }: Header): string {
  return canonicalize({ countersign_log: version, origin, key, size });
}

export function formatEntryRow({ index, entry, texts }: EntryRow): string {
  return canonicalize({ index, entry, ...(Object.keys(texts).length > 0 && { texts }) });
}

export function formatCheckpointRow(checkpoint: string): string {
  return canonicalize({ checkpoint });
}

export function readRow(line: Line): Row | { readonly refused: RowRefusal } {
  if (typeof line !== "string" && !isUtf8(line)) return { refused: "not_utf8" };
  const text =
    typeof line === "string" ? line : Buffer.from(line.buffer, line.byteOffset, line.length).toString();
  const parsed = parseJson(text);
  if ("refused" in parsed) return { refused: "not_json" };
  const { value } = parsed;
  if (canonicalize(value) !== text) return { refused: "not_canonical" };
  return readHeader(value) ?? readEntryRow(value) ?? readCheckpoint(value) ?? { refused: "unknown_row" };
}

/** Splits bytes into lines at "\n" only. `readline` would also split at U+2028, which a text may contain. */
export async function* splitLines(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let partialLine: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const rest = chunk.subarray(start, end);
      yield partialLine.length === 0 ? rest : Buffer.concat([...partialLine, rest]);
      partialLine = [];
      start = end + 1;
    }
    if (start < chunk.length) partialLine.push(chunk.subarray(start));
  }
  if (partialLine.length > 0) yield Buffer.concat(partialLine);
}

const newline = 0x0a;

/** Returns the texts of an exported entry, or undefined if the value is not of their shape. */
export function readTexts(value: Json | undefined): Texts | undefined {
  if (!isObject(value) || Object.keys(value).length === 0) return undefined;
  const isComplete = Object.values(value).every(
    (opening) =>
      hasOnly(opening, ["text", "salt"]) &&
      typeof opening.text === "string" &&
      typeof opening.salt === "string",
  );
  return isComplete ? (value as Texts) : undefined;
}

/** Returns whether a value is an object with all of `names`, and no members beyond these and `optionalNames`. */
export function hasOnly(
  value: Json | undefined,
  names: readonly string[],
  optionalNames: readonly string[] = [],
): value is JsonObject {
  if (!isObject(value) || !names.every((name) => Object.hasOwn(value, name))) return false;
  return Object.keys(value).every((name) => names.includes(name) || optionalNames.includes(name));
}

function readHeader(value: Json): Row | undefined {
  if (!hasOnly(value, ["countersign_log", "origin", "key", "size"])) return undefined;
  const { countersign_log, origin, key, size } = value;
  if (countersign_log !== version || typeof origin !== "string" || typeof key !== "string") return undefined;
  return typeof size === "number" ? { row: "header", origin, key, size } : undefined;
}

function readEntryRow(value: Json): Row | undefined {
  if (!hasOnly(value, ["index", "entry"], ["texts"])) return undefined;
  const { index, entry } = value;
  if (typeof index !== "number" || typeof entry !== "string") return undefined;
  const texts = value.texts === undefined ? {} : readTexts(value.texts);
  return texts && { row: "entry", index, entry, texts };
}

function readCheckpoint(value: Json): Row | undefined {
  if (!hasOnly(value, ["checkpoint"])) return undefined;
  const { checkpoint } = value;
  return typeof checkpoint === "string" ? { row: "checkpoint", checkpoint } : undefined;
}
