/**
 * Shared parts of the two SDKs as HTTP clients of the authorization server: error classes, the clock, checks of server
 * URLs, and the HTTP headers that both write or read. It sends no request. Applications import the error classes from
 * `@countersign/agent` or `@countersign/verifier`.
 */
export { type Clock, machineClock } from "./clock.ts";
export {
  AbortError,
  AuthenticationError,
  CountersignError,
  type ErrorCode,
  GrantMismatchError,
  HandlerError,
  InvalidArgumentError,
  MetadataError,
  NetworkError,
  ResponseError,
  TimeoutError,
  toDiscoveryError,
  toNetworkError,
} from "./error.ts";
export { encodeBasicAuthorization, parseRetryAfter } from "./http.ts";
export { isSameUrl, requireSecureUrl } from "./url.ts";
