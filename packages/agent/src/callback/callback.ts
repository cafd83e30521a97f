/**
 * How an agent is told of an answer instead of asking for it (CIBA §5): `ping` says that there is one, `push` brings it.
 * Which of them is a matter of the agent's registration; here is what this side needs for it.
 */
import { InvalidArgumentError } from "@countersign/protocol/client";
import type { Credentials } from "../credential/client-authentication.ts";
import { type CallbackInbox, createCallbackInbox } from "./inbox.ts";
import { createNotificationTokens, type NotificationTokens } from "./notification-token.ts";

export type Callback = {
  readonly mode: "ping" | "push";
  readonly tokens: NotificationTokens;
  readonly callbackInbox: CallbackInbox;
};

export type CallbackSetup = {
  /** What the agent is registered for: `ping` unless said otherwise. */
  readonly mode?: "ping" | "push";
  /**
   * What callbacks are believed by: at least 32 random characters, the same in every process of the agent. The
   * client secret serves unless said otherwise; an agent without one needs this.
   */
  readonly secret?: string;
};

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
