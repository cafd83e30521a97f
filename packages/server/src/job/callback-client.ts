/** What an agent is told, and who carries it: declared here, put together in `server.ts`. */
import type { IssuedToken } from "../usecase/token/issue.ts";

/** CIBA §12. */
export type PushError = "access_denied" | "expired_token" | "transaction_failed";

/** What an agent is told. */
export type CallbackPayload = { readonly authReqId: string } & (
  | { readonly say: "answered" }
  | { readonly say: "granted"; readonly grant: IssuedToken }
  | { readonly say: "refused"; readonly error: PushError; readonly reason?: string | undefined }
);

/** `final`: trying again would end in the same way. */
export type SendResult = { readonly status: number } | { readonly problem: string; readonly final: boolean };

/** Carries a notice to an endpoint, or answers nothing where it was stopped. */
export type CallbackClient = {
  /** The notice as the wire spells it. */
  readonly encode: (notice: CallbackPayload) => string;
  readonly send: (
    endpoint: string,
    notificationToken: string,
    body: string,
    stop: AbortSignal,
  ) => Promise<SendResult | undefined>;
};
