/**
 * What two sides must compute identically: names, canonical bytes, action digests, decision challenges, log entries, log
 * proofs, and what a DPoP proof must say; and the error classes of the SDKs. Agent, verifier, server and an auditor with none of the three get the same answer from the same input, and
 * the golden vectors in `vectors/` let another implementation do so too. Everything here is a pure function of its
 * arguments (only `commitText` draws random bytes, and takes them from the caller where they matter). It never reads a
 * clock, a file, a network or a configuration, never decides who may do what, and never repairs its input.
 */

export { type Action, type ActionPart, actionDigest, hashJson, partsDigest, shortDigest } from "./action.ts";
export { canonicalize } from "./canonical.ts";
export { type Checkpoint, openCheckpoint, signCheckpoint, verifierKey } from "./checkpoint.ts";
export { decisionChallenge, type SignedDecision } from "./decision.ts";
export { type Actor, actorTypes, commitText, type Entry, entryLine, opensCommitment } from "./entry.ts";
export {
  AbortError,
  AuthenticationError,
  CountersignError,
  type ErrorCode,
  GrantMismatchError,
  InvalidArgumentError,
  MetadataError,
  NetworkError,
  ResponseError,
  TimeoutError,
} from "./error.ts";
export { type Json, type JsonObject, type JsonRefusal, parseJson } from "./json.ts";
export {
  appendLeaves,
  consistencyProof,
  type Hash,
  inclusionProof,
  leafHash,
  type NodeReader,
  nodeHash,
  rootOf,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";
export {
  type AskError,
  type AuthenticationLevel,
  askErrors,
  authenticationLevels,
  cibaGrantType,
  type RegistrationError,
  type RequestState,
  type Reversibility,
  registrationErrors,
  requestStates,
  reversibilities,
  type SpendError,
  type SpendOperation,
  spendErrors,
  spendOperations,
  type TokenError,
  type TokenState,
  tokenErrors,
  tokenStates,
} from "./names.ts";
export { createDpopNonces, type DpopNonces } from "./nonce.ts";
export {
  comparableUrl,
  type DpopProof,
  type DpopRequest,
  type ProofFault,
  proofAlgorithms,
  proofFaults,
  readDpopProof,
} from "./proof.ts";
export { inspectText, type TextFault } from "./text.ts";
