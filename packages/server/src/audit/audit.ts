/**
 * Exports and verifies the audit log. An export is text, one line per entry. Verification needs that text and a public key
 * only: no entry was changed, removed or moved up to the newest checkpoint that was kept elsewhere; every signed approval was
 * signed by a passkey of its approver, for its card; every request and token went only through valid states. The entries of
 * one request can be exported as a document of evidence. Verification uses no store, configuration or clock, repairs nothing
 * and signs nothing.
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
