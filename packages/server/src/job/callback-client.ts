/** Payloads of callbacks, and the client that encodes and sends them. Declared here, assembled in `server.ts`. */
import type { IssuedToken } from "../usecase/token/issue.ts";

/** Error codes of a push (CIBA §12). */
export type PushError = "access_denied" | "expired_token" | "transaction_failed";

/** Content of a callback, before it is encoded. `ping` tells only that the request has ended; the others are pushes. */
export type CallbackPayload = { readonly authReqId: string } & (
  | { readonly kind: "ping" }
  | { readonly kind: "token"; readonly issued: IssuedToken }
  | { readonly kind: "error"; readonly error: PushError; readonly reason?: string | undefined }
);

/** `final`: a retry cannot succeed. */
export type SendResult = { readonly status: number } | { readonly problem: string; readonly final: boolean };

/** Encodes and sends callbacks. `send` resolves to undefined if `stop` aborted it. */
export type CallbackClient = {
  /** Returns the JSON body. */
  readonly encode: (payload: CallbackPayload) => string;
  readonly send: (
    endpoint: string,
    notificationToken: string,
    body: string,
    stop: AbortSignal,
  ) => Promise<SendResult | undefined>;
};
