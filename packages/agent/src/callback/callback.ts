/** Sets up callbacks (CIBA §5): a ping reports that a result is ready, a push contains it. */
import { InvalidArgumentError } from "@countersign/protocol/client";
import type { Credentials } from "../credential/client-authentication.ts";
import { type CallbackInbox, createCallbackInbox } from "./inbox.ts";
import { createNotificationTokens, type NotificationTokens } from "./notification-token.ts";

export type Callback = {
  readonly mode: "ping" | "push";
  readonly tokens: NotificationTokens;
  readonly callbackInbox: CallbackInbox;
};

/** The delivery mode and the secret of callbacks. */
export type CallbackSetup = {
  /** The registered delivery mode. Default: `ping`. */
  readonly mode?: "ping" | "push";
  /**
   * The secret that authenticates callbacks: at least 32 random characters, the same in every process of the agent.
   * Default: the client secret. Required if there is none.
   */
  readonly secret?: string;
};

/** Throws an InvalidArgumentError if the secret is missing or shorter than 32 characters. */
export function createCallback(credentials: Credentials, setup: CallbackSetup): Callback {
  const { issuer, clientId, clientSecret } = credentials;
  const { mode = "ping", secret = clientSecret } = setup;
  if (secret === undefined)
    throw new InvalidArgumentError(
      "callback.secret is missing: 32 or more random characters, the same in every process",
    );
  if (setup.secret !== undefined && setup.secret.length < 32)
    throw new InvalidArgumentError("callback.secret must be 32 or more random characters");
  return {
    mode,
    tokens: createNotificationTokens(secret, { issuer, clientId }),
    callbackInbox: createCallbackInbox(),
  };
}
