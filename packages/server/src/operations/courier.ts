/** What an agent is told, and who carries it: declared here, put together in `server.ts`. */
import type { Grant } from "./issue.ts";

/** CIBA §12. */
export type PushError = "access_denied" | "expired_token" | "transaction_failed";

/** What an agent is told. */
export type Notice = { readonly authReqId: string } & (
  | { readonly say: "answered" }
  | { readonly say: "granted"; readonly grant: Grant }
  | { readonly say: "refused"; readonly error: PushError; readonly reason?: string | undefined }
);

/** `final`: trying again would end in the same way. */
export type Posted = { readonly status: number } | { readonly problem: string; readonly final: boolean };

/** Carries a notice to an endpoint, or answers nothing where it was stopped. */
export type Courier = {
  /** The notice as the wire spells it. */
  readonly write: (notice: Notice) => string;
  readonly post: (
    endpoint: string,
    notificationToken: string,
    body: string,
    stop: AbortSignal,
  ) => Promise<Posted | undefined>;
};
