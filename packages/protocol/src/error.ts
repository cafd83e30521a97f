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
  | "ERR_HANDLER"
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

/** A response or callback of the authorization server is malformed, or not one that the protocol allows. */
export class ResponseError extends CountersignError {
  override readonly name = "ResponseError";
  readonly code = "ERR_RESPONSE";
}

/** The authorization server granted or reserved an action other than the requested one. Its token is not used. */
export class GrantMismatchError extends CountersignError {
  override readonly name = "GrantMismatchError";
  readonly code = "ERR_GRANT_MISMATCH";
}

/** A function of the application that an SDK called in the background failed. `cause` is its error. */
export class HandlerError extends CountersignError {
  override readonly name = "HandlerError";
  readonly code = "ERR_HANDLER";
}

/** The caller aborted the operation. `cause` is the signal's reason. */
export class AbortError extends CountersignError {
  override readonly name = "AbortError";
  readonly code = "ERR_ABORTED";
}

/**
 * Returns the error of a request without a usable response: a `TimeoutError` if the cause is a passed time limit of
 * `fetch` or of a remote key set, otherwise a `NetworkError`.
 *
 * @param message - Says what received no response.
 * @param cause - What `fetch` or the reading of the response rejected with.
 * @returns The error; `cause` is kept.
 * @example
 * fetch(url).catch((cause) => { throw toNetworkError(`no response from ${url}`, cause); });
 */
export function toNetworkError(message: string, cause: unknown): NetworkError | TimeoutError {
  const { name, cause: inner } = toError(cause);
  const isTimeout = [name, toError(inner).name].some(
    (one) => one === "TimeoutError" || one === "JWKSTimeout",
  );
  return isTimeout ? new TimeoutError(message, { cause }) : new NetworkError(message, { cause });
}

/**
 * Returns the error of metadata or keys of the authorization server that cannot be fetched or used: the cause if it is a
 * `CountersignError`, a `MetadataError` if they are not JSON or not a key set, otherwise as `toNetworkError`.
 *
 * @param message - Says what cannot be used.
 * @param cause - What `fetch`, the reading of the response or jose's remote key set rejected with.
 * @returns The error; `cause` is kept.
 * @example
 * keys(header).catch((cause) => { throw toDiscoveryError("the server's keys cannot be used", cause); });
 */
export function toDiscoveryError(message: string, cause: unknown): CountersignError {
  if (cause instanceof CountersignError) return cause;
  const { code, cause: inner } = toError(cause);
  const isMalformed = code === "ERR_JWKS_INVALID" || [cause, inner].some((one) => one instanceof SyntaxError);
  return isMalformed ? new MetadataError(message, { cause }) : toNetworkError(message, cause);
}

function toError(value: unknown): Partial<Error & { readonly code: unknown }> {
  return value instanceof Error ? value : {};
}

/**
 * Returns the message of a thrown value. An `AggregateError`, which has an empty message if several addresses were tried,
 * returns the messages of its errors, joined by `; `.
 *
 * @param error - Anything that was thrown.
 * @example
 * console.error(`the file cannot be read: ${getErrorMessage(error)}`);
 */
export function getErrorMessage(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(getErrorMessage).join("; ");
  return error instanceof Error ? error.message : String(error);
}
