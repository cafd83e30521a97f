/**
 * Exports and verifies the evidence for one request: its entries with inclusion proofs, the checkpoint that the proofs lead
 * to, and the enrolment of the device that signed. Evidence proves what happened up to that checkpoint. It does not prove that
 * nothing else happened, for example that the device was not removed before; only the whole log does.
 */
import {
  type Entry,
  type Hash,
  isObject,
  type JsonObject,
  leafHash,
  type RequestState,
  type TokenState,
  verifyInclusion,
} from "@countersign/protocol";
import { createHistory } from "./check/history.ts";
import {
  isVerifierKey,
  noteFaults,
  parseOwnCheckpoint,
  readOrigin,
  requireVerifierKey,
} from "./checkpoint.ts";
import { documentFaults, type EntryWithProof, formatDocument, readDocument } from "./document.ts";
import type { SequencedEntry, StoredCheckpoint } from "./export.ts";
import { entryFaults, readEntry, type Texts } from "./parse-entry.ts";
import type { AuditProblem, AuditProblems } from "./problem.ts";
import { readCard } from "./signature.ts";

type MaybePromise<T> = T | Promise<T>;

/** The log that evidence is read from. `Store.log` is one. */
export interface EvidenceSource {
  entries(from: number, limit: number): MaybePromise<readonly SequencedEntry[]>;
  /** The newest entries about one request, newest first; entries without an index yet have -1. */
  newest(limit: number, request: string): MaybePromise<readonly SequencedEntry[]>;
  newestCheckpoint(): MaybePromise<StoredCheckpoint | undefined>;
  inclusion(index: number, size: number): MaybePromise<readonly Hash[]>;
}

/** `not_checkpointed`: no checkpoint covers an entry of this request yet. */
export type EvidenceRefusal = "unknown_request" | "not_checkpointed";

/** Verified evidence. */
export type Evidence = {
  readonly ok: true;
  readonly origin: string;
  /** `own`: the key was taken from the document itself, so anyone could have created it. */
  readonly key: "trusted" | "own";
  /** Number of entries at the checkpoint; `state` is as of then. */
  readonly size: number;
  readonly request: string;
  readonly state: RequestState;
  /** `signed`: by a passkey, verified here. */
  readonly decision?: {
    readonly verdict: "approve" | "deny";
    readonly approver: string;
    /** Milliseconds since the epoch. */
    readonly at: number;
    readonly signed: boolean;
  };
  readonly token?: { readonly id: string; readonly state: TokenState };
  /** The card that was shown, unless it was erased. */
  readonly card?: JsonObject;
  readonly entries: readonly { readonly index: number; readonly entry: Entry; readonly texts: Texts }[];
};

const maxEntries = 1_000_000;
const pageSize = 500;

/** Returns the evidence for one request as canonical JSON. `key` is the log's verifier key. */
export async function exportEvidence(
  source: EvidenceSource,
  key: string,
  request: string,
): Promise<string | { readonly refused: EvidenceRefusal }> {
  const checkpoint = await source.newestCheckpoint();
  const all = await source.newest(maxEntries, request);
  if (all.length === 0) return { refused: "unknown_request" };
  const size = checkpoint?.size ?? 0;
  const covered = all.filter(({ index }) => index >= 0 && index < size).reverse();
  if (!checkpoint || covered.length === 0) return { refused: "not_checkpointed" };

  const enrolments: SequencedEntry[] = [];
  for (const { index, line } of covered) {
    const credential = credentialOf(line);
    const enrolment = credential === undefined ? undefined : await findEnrolment(source, credential, index);
    if (enrolment) enrolments.push({ ...enrolment, texts: {} }); // without the device's name
  }
  const entries: EntryWithProof[] = [];
  for (const { index, line, texts } of [...enrolments, ...covered].sort((a, b) => a.index - b.index))
    entries.push({ index, entry: line, proof: await source.inclusion(index, size), texts });
  return formatDocument({ origin: readOrigin(key), key, request, checkpoint: checkpoint.note, entries });
}

/** Returns the credential that signed the entry of this leaf, if any. */
function credentialOf(line: string): string | undefined {
  const entry = readEntry(line);
  const evidence = "refused" in entry ? undefined : entry.facts?.evidence;
  return isObject(evidence) && typeof evidence.credential === "string" ? evidence.credential : undefined;
}

/** Returns the last enrolment of a credential before the entry at index `before`. */
async function findEnrolment(
  source: EvidenceSource,
  credential: string,
  before: number,
): Promise<SequencedEntry | undefined> {
  for (let end = before; end > 0; end -= pageSize) {
    const start = Math.max(0, end - pageSize);
    const entries = await source.entries(start, end - start);
    const found = entries.findLast(
      ({ line }) => line.includes(credential) && isEnrolmentOf(line, credential),
    );
    if (found) return found;
  }
  return undefined;
}

function isEnrolmentOf(line: string, credential: string): boolean {
  const entry = readEntry(line);
  return !("refused" in entry) && entry.event === "device.enrolled" && entry.facts?.credential === credential;
}

/**
 * Verifies a document from its text alone. `key` is the log's verifier key, from a trusted source; default: the document's
 * own. Throws a TypeError if `key` is not a verifier key.
 */
export async function verifyEvidence(
  text: string,
  { key: trusted }: { readonly key?: string } = {},
): Promise<Evidence | AuditProblems> {
  if (trusted !== undefined) requireVerifierKey(trusted);
  const document = readDocument(text);
  if ("refused" in document) return fail(documentFaults[document.refused]);
  const { origin, key, request } = document;
  if (!isVerifierKey(key)) return fail("the key of the document is not a verifier key");
  if (trusted !== undefined && key !== trusted) return fail("the key of the document is not the trusted key");
  if (origin !== readOrigin(key)) return fail("the origin of the document differs from its key");
  const checkpoint = parseOwnCheckpoint(document.checkpoint, key);
  if ("refused" in checkpoint) return fail(`the checkpoint ${noteFaults[checkpoint.refused]}`);

  const problems: AuditProblem[] = [];
  const history = createHistory();
  const entries: { index: number; entry: Entry; texts: Texts }[] = [];
  let decision: Evidence["decision"];
  let card: JsonObject | undefined;
  let token: string | undefined;
  let last = -1;
  for (const { index, entry: leaf, proof, texts } of document.entries) {
    const addProblem = (what: string) => problems.push({ index, message: what });
    if (index <= last) addProblem("the entry is out of order");
    last = index;
    if (!verifyInclusion(leafHash(leaf), index, checkpoint.size, proof, checkpoint.root))
      addProblem("the inclusion proof of the entry does not hold");
    const entry = readEntry(leaf);
    if ("refused" in entry) {
      addProblem(entryFaults[entry.refused]);
      continue;
    }
    if (entry.request !== request && entry.event !== "device.enrolled")
      addProblem("the entry is not about this request");
    for (const what of await history.checkNext(entry, texts)) addProblem(what);
    entries.push({ index, entry, texts });
    decision ??= readDecision(entry);
    if (entry.event === "token.issued") token = entry.token;
    const shown = entry.event === "request.created" ? readCard(entry, texts) : undefined;
    if (shown && "card" in shown) card = shown.card;
  }
  const state = history.logState.requests.get(request)?.state;
  if (problems.length > 0) return { problems };
  if (state === undefined) return fail("the request's creation is missing");
  return {
    ok: true,
    origin,
    key: trusted === undefined ? "own" : "trusted",
    size: checkpoint.size,
    request,
    state,
    ...(decision && { decision }),
    ...(token !== undefined && { token: { id: token, state: history.logState.tokens.get(token)!.state } }),
    ...(card && { card }),
    entries,
  };
}

function fail(what: string): AuditProblems {
  return { problems: [{ message: what }] };
}

function readDecision({ event, approver, at, facts }: Entry): Evidence["decision"] {
  if (approver === undefined || (event !== "request.approved" && event !== "request.denied"))
    return undefined;
  const verdict = event === "request.approved" ? "approve" : "deny";
  return { verdict, approver, at, signed: verdict === "approve" && facts?.evidence !== undefined };
}
