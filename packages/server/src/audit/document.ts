/**
 * Format of the evidence for one request: one JSON document.
 *
 *     {"countersign_evidence":1,"key":"<verifier key>","origin":"<the log's origin>","request":"<its id>",
 *      "checkpoint":"<signed note>","entries":[{"entry":"<leaf>","index":7,"proof":["<hash>",…],"texts":{…}},…]}
 *
 * Entries are in log order. A proof is the inclusion proof of the leaf, from the leaf up, each hash in base64url.
 */
import { canonicalize, type Hash, isObject, type Json, parseJson } from "@countersign/protocol";
import { hasOnly, readTexts } from "./line.ts";
import type { Texts } from "./parse-entry.ts";

export type EntryWithProof = {
  readonly index: number;
  readonly entry: string;
  readonly proof: readonly Hash[];
  /** Empty if the entry has none or they were erased. */
  readonly texts: Texts;
};
export type EvidenceDocument = {
  readonly origin: string;
  readonly key: string;
  readonly request: string;
  /** A signed note. */
  readonly checkpoint: string;
  readonly entries: readonly EntryWithProof[];
};

export type DocumentRefusal = "not_json" | "not_evidence" | "not_whole";

export const documentFaults: { readonly [refusal in DocumentRefusal]: string } = {
  not_json: "the document is not unambiguous JSON",
  not_evidence: "this is not an evidence document",
  not_whole: "the document lacks members, or has unknown ones",
};

const version = 1;

export function formatDocument({ origin, key, request, checkpoint, entries }: EvidenceDocument): string {
  const entriesWithProof = entries.map(({ index, entry, proof, texts }) => ({
    index,
    entry,
    proof: proof.map((hash) => Buffer.from(hash).toString("base64url")),
    ...(Object.keys(texts).length > 0 && { texts }),
  }));
  return canonicalize({
    countersign_evidence: version,
    origin,
    key,
    request,
    checkpoint,
    entries: entriesWithProof,
  });
}

/** Parses a document. Whitespace may differ, so that it can be formatted for reading; all else is checked. */
export function readDocument(text: string): EvidenceDocument | { readonly refused: DocumentRefusal } {
  const parsed = parseJson(text);
  if ("refused" in parsed) return { refused: "not_json" };
  const { value } = parsed;
  if (!isObject(value) || value.countersign_evidence !== version) return { refused: "not_evidence" };
  const { origin, key, request, checkpoint } = value;
  if (!hasOnly(value, ["countersign_evidence", "origin", "key", "request", "checkpoint", "entries"]))
    return { refused: "not_whole" };
  if (typeof origin !== "string" || typeof key !== "string") return { refused: "not_whole" };
  if (typeof request !== "string" || typeof checkpoint !== "string") return { refused: "not_whole" };
  const entries = readArray(value.entries, readEntryWithProof);
  return entries ? { origin, key, request, checkpoint, entries } : { refused: "not_whole" };
}

function readArray<T>(
  value: Json | undefined,
  read: (item: Json) => T | undefined,
): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items = value.map(read).filter((item) => item !== undefined);
  return items.length === value.length ? items : undefined;
}

function readEntryWithProof(value: Json): EntryWithProof | undefined {
  if (!hasOnly(value, ["index", "entry", "proof"], ["texts"])) return undefined;
  const { index, entry } = value;
  const proof = readArray(value.proof, readHash);
  const texts = value.texts === undefined ? {} : readTexts(value.texts);
  if (typeof index !== "number" || typeof entry !== "string" || !proof || !texts) return undefined;
  return { index, entry, proof, texts };
}

function readHash(value: Json): Hash | undefined {
  if (typeof value !== "string") return undefined;
  const bytes = Buffer.from(value, "base64url");
  return bytes.length === 32 && bytes.toString("base64url") === value ? bytes : undefined;
}
