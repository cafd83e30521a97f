/**
 * What two sides must compute identically: names, canonical JSON, action digests, decision challenges, log entries, log
 * proofs, the claims of DPoP proofs, the characters of error texts. Agent, verifier, server and an auditor's own program
 * get the same result from the same input; the golden vectors in `vectors/` let another implementation prove it.
 * Everything here is a pure function of its arguments; `commitText` draws a random salt unless it is given one. It reads no
 * clock, file, network or configuration, makes no access decision, and never repairs its input. What only the SDKs
 * share is in `client.ts`.
 */

export { type Action, type ActionPart, actionDigest, hashJson, partsDigest, shortDigest } from "./action.ts";
export { canonicalize } from "./canonical.ts";
export { type Checkpoint, openCheckpoint, signCheckpoint, verifierKey } from "./checkpoint.ts";
export { clockToleranceSeconds } from "./clock.ts";
export { decisionChallenge, type SignedDecision } from "./decision.ts";
export { type Actor, actorTypes, commitText, type Entry, entryLine, opensCommitment } from "./entry.ts";
export { getErrorMessage } from "./error.ts";
export { isObject, type Json, type JsonObject, type JsonRefusal, parseJson } from "./json.ts";
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
export { inspectText, isErrorDescription, type TextFault, toErrorDescription } from "./text.ts";
export { isLoopbackHost } from "./url.ts";
