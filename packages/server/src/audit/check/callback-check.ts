/** Checks of callbacks. */

import { toCurrentEvent } from "../event.ts";
import { quote } from "../problem.ts";
import { type EntryCheck, findRequest, findToken } from "./log-state.ts";

export const callbackChecks = {
  callbackAfterDecision: (entry, logState) =>
    entry.event.startsWith("callback.") && findRequest(entry, logState)?.state === "pending"
      ? `a callback was sent for ${quote(entry.request!)} before it was decided`
      : undefined,

  abandonedWithLiveToken: (entry, logState) => {
    const token = findToken(entry, logState);
    return toCurrentEvent(entry.event) === "callback.abandoned" &&
      token?.state === "issued" &&
      entry.at < token.expiresAt
      ? `the token ${quote(entry.token!)} could not be delivered and was not revoked`
      : undefined;
  },
} satisfies { readonly [name: string]: EntryCheck };
