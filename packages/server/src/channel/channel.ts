/**
 * What a channel is: a way to notify approvers. The outbox (`job/deliver-message.ts`) decides what is sent to whom, and when again;
 * a channel renders and sends one notification. It shows the server's card and the check code, and never decides.
 */
import type { JsonObject } from "@countersign/protocol";
import type { Approver } from "../domain/people/approver.ts";
import type { ApprovalRequest } from "../domain/request/request.ts";
import type { MessageKind } from "../store/record/message.ts";

/** What an approver is told about a request. */
type NotificationOf<K extends MessageKind> = {
  readonly kind: K;
  /** The same in every attempt: lets a channel or its recipient discard duplicates. */
  readonly messageId: string;
  readonly request: ApprovalRequest;
};

/** A request waits for a decision. */
export type Notification = NotificationOf<Exclude<MessageKind, "resolved">>;
/** A request has ended. */
export type Resolution = NotificationOf<"resolved"> & { readonly outcome: RequestOutcome };
/** How a request ended for its approvers, whatever became of an approval. */
export type RequestOutcome = "approved" | "denied" | "cancelled" | "expired";

export type Recipient = {
  readonly approver: Approver;
  /** The approver's e-mail address, or that of one of their contacts for this channel. */
  readonly address: string;
};

/** Where a notification was sent, in the form that the channel defines: for example a chat channel and a message id. */
export type Receipt = JsonObject;

/** Created in the registry, opened when the server starts. */
export type OpenChannel = {
  /**
   * What it sends to. `email`: the e-mail address that every approver has. `registered`: each of the approver's contacts for
   * this channel; approvers without one are skipped.
   */
  readonly contacts: "email" | "registered";
  /**
   * Sends a notification once. Returns a receipt if the channel can edit it later, and needs one to find it. Rejects with
   * `DeliveryError` if retrying is useless or must wait; after any other error the outbox retries with backoff.
   */
  readonly send: (notification: Notification, recipient: Recipient) => Promise<Receipt | undefined>;
  /** Edits a notification that was sent: the request has ended. Rejects as `send` does. Undefined: the channel cannot edit. */
  readonly update?: (receipt: Receipt, resolution: Resolution) => Promise<void>;
  /** Checks for `countersign doctor` that the channel can send. Sends nothing. Reports problems as results, and does not reject. */
  readonly check: () => Promise<readonly CheckResult[]>;
  /** Routes for callbacks of the chat service: a click on a button, a delivery status. */
  readonly routes?: readonly WebhookRoute[];
  readonly close: () => void | Promise<void>;
};

/** The raw request, because signatures are computed over its bytes. The body has at most 64 KiB. */
export type WebhookRequest = {
  /** Returns a header by its lower-case name. */
  readonly header: (name: string) => string | undefined;
  readonly body: Uint8Array;
};
/** `json` is the body. Undefined: an empty body. */
export type WebhookReply = { readonly status: number; readonly json?: JsonObject };

/** A row of the route table. The handler verifies the signature before it reads anything else of the request. */
export type WebhookRoute = {
  readonly method: "POST";
  readonly path: `/channels/${string}`;
  readonly webhook: (request: WebhookRequest) => Promise<WebhookReply>;
};

export type ChannelDeps = {
  readonly issuer: string;
  /** The store's clock, in milliseconds since the epoch. */
  readonly now: () => number;
  /** Writes a line to standard output. */
  readonly print: (line: string) => void;
};

/**
 * Why a notification was not accepted. `address_gone`: the address no longer exists; the contact is disabled. `rejected`: this
 * notification will never be accepted. `temporary`: try again, after `retryAfterMs` at the earliest.
 */
export type DeliveryFailure = "address_gone" | "rejected" | "temporary";

/** What `send` and `update` reject with if the outbox is not to retry by its own schedule. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly failure: DeliveryFailure;
  readonly retryAfterMs: number;

  constructor(
    failure: DeliveryFailure,
    message: string,
    { retryAfterMs = 0, ...options }: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.failure = failure;
    this.retryAfterMs = retryAfterMs;
  }
}

/** One finding of `countersign doctor`. */
export type CheckResult = {
  readonly about: string;
  readonly state: "ok" | "warn" | "fail";
  readonly summary: string;
  /** What to do, if anything. */
  readonly remedy?: string;
};

/** Returns the URL of the request's page. It names the channel, for the audit entry of the decision. */
export function buildRequestUrl(issuer: string, requestId: string, channel: string): string {
  return `${issuer}/requests/${requestId}?via=${channel}`;
}
