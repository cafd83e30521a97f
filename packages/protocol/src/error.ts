/**
 * Stable codes of the errors with which the functions of `@countersign/agent` and `@countersign/verifier` reject.
 * Compare codes rather than classes: two installed copies of a package have different classes and the same codes.
 */
export type ErrorCode =
  | "ERR_INVALID_ARGUMENT"
  | "ERR_METADATA"
  | "ERR_AUTHENTICATION"
  | "ERR_NETWORK"
  | "ERR_TIMEOUT"
  | "ERR_RESPONSE"
  | "ERR_GRANT_MISMATCH"
  | "ERR_ABORTED";

/** Base class of all errors of the SDKs. `cause` is the error that led to this one, if there is one. */
export abstract class CountersignError extends Error {
  abstract readonly code: ErrorCode;
}

/** An option or argument is invalid. No request was sent. */
export class InvalidArgumentError extends CountersignError {
  override readonly name = "InvalidArgumentError";
  readonly code = "ERR_INVALID_ARGUMENT";
}

/** The authorization server's metadata is missing, belongs to another issuer, or lacks a required capability. */
export class MetadataError extends CountersignError {
  override readonly name = "MetadataError";
  readonly code = "ERR_METADATA";
}

/** The caller's key cannot sign, or the authorization server rejects the caller's credentials. */
export class AuthenticationError extends CountersignError {
  override readonly name = "AuthenticationError";
  readonly code = "ERR_AUTHENTICATION";
}

/** The connection failed, or the response was a 5xx. The outcome of the request is unknown. */
export class NetworkError extends CountersignError {
  override readonly name = "NetworkError";
  readonly code = "ERR_NETWORK";
}

/** A time limit passed without a response. The outcome of the request is unknown. */
export class TimeoutError extends CountersignError {
  override readonly name = "TimeoutError";
  readonly code = "ERR_TIMEOUT";
}

/** The authorization server's response is malformed or not one that the protocol allows. */
export class ResponseError extends CountersignError {
  override readonly name = "ResponseError";
  readonly code = "ERR_RESPONSE";
}

/** The authorization server granted or reserved an action other than the requested one. Its token is not used. */
export class GrantMismatchError extends CountersignError {
  override readonly name = "GrantMismatchError";
  readonly code = "ERR_GRANT_MISMATCH";
}

/** The caller aborted the operation. `cause` is the signal's reason. */
export class AbortError extends CountersignError {
  override readonly name = "AbortError";
  readonly code = "ERR_ABORTED";
}
