/** A protocol error. Thrown only in `http/`; rendered as JSON in one place. */
import {
  type AskError,
  type RegistrationError,
  type SpendError,
  type TokenError,
  toErrorDescription,
} from "@countersign/protocol";
import { createJsonResponse, type ProtocolResponse } from "../transport/response.ts";

export type OAuthErrorCode = AskError | TokenError | SpendError | RegistrationError;

export class OAuthError extends Error {
  readonly code: OAuthErrorCode;
  readonly status: 400 | 401 | 403 | 409 | 413 | 415 | 503;
  /** Additional members of the response body. */
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: OAuthErrorCode,
    description: string,
    options: {
      readonly status?: OAuthError["status"];
      readonly members?: Readonly<Record<string, unknown>>;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    // No stack trace: this is a response, not a bug, and capturing a stack costs as much as the rest of a poll.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(description);
    Error.stackTraceLimit = limit;
    this.name = "OAuthError";
    this.code = code;
    this.status = options.status ?? 400;
    this.members = options.members ?? {};
    this.headers = options.headers ?? {};
  }

  /** Returns the JSON body (RFC 6749 §5.2). `error_description` is limited to the characters that the RFC allows. */
  toProtocolResponse(): ProtocolResponse {
    const description = toErrorDescription(this.message);
    return createJsonResponse(
      { error: this.code, ...(description && { error_description: description }), ...this.members },
      { status: this.status, headers: this.headers },
    );
  }
}
