/**
 * What a stranger can check. The log leaves as text, one line for each entry, and is verified from that text and a
 * public key alone: that nothing was changed, removed or moved up to the newest checkpoint that somebody else has kept;
 * that every signed approval was signed by a passkey of that person's, for that card; that the story each entry tells is
 * one that the state machines allow. Everything about one request can leave as a document of its own. It never asks the
 * store, the configuration or the clock whether something is true, never repairs what it reads, and signs nothing.
 */

export {
  type Evidence,
  type EvidenceRefusal,
  type EvidenceSource,
  exportEvidence,
  verifyEvidence,
} from "./evidence.ts";
export { exportLog, type LogSource, type SequencedEntry } from "./export.ts";
export { type Line, splitLines } from "./line.ts";
export { type EntryRefusal, readEntry, type Texts } from "./parse-entry.ts";
export type { AuditProblem, AuditProblems } from "./problem.ts";
export { type VerifyOptions, type VerifyReport, verifyLog } from "./verify.ts";
