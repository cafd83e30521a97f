/** A protocol error on its way out: thrown at the edge only, rendered in one place, always as JSON. */
import type { AskError, RegistrationError, SpendError, TokenError } from "@countersign/protocol";
import { createJsonResponse, type ProtocolResponse } from "../transport/response.ts";

export type OAuthErrorCode = AskError | TokenError | SpendError | RegistrationError;

const allowed = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/g;

export class OAuthError extends Error {
  readonly code: OAuthErrorCode;
  readonly status: 400 | 401 | 403 | 409 | 413 | 415 | 503;
  /** Further members of the answer. */
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
    // It is an answer and not a fault: nobody reads its stack, and taking one costs as much as the rest of a poll.
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

  /** RFC 6749 §5.2; the description keeps to the alphabet that it allows. */
  toProtocolResponse(): ProtocolResponse {
    const description = this.message.replace(allowed, "?");
    return createJsonResponse(
      { error: this.code, ...(description && { error_description: description }), ...this.members },
      { status: this.status, headers: this.headers },
    );
  }
}
