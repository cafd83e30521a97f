/** When an agent was told of an answer, as the log must tell it; each rule with its own sentence. */

import { toCurrentEvent } from "../event.ts";
import { quote } from "../problem.ts";
import { type EntryCheck, findRequest, findToken } from "./log-state.ts";

export const callbackChecks = {
  callbackAfterDecision: (entry, logState) =>
    entry.event.startsWith("callback.") && findRequest(entry, logState)?.state === "pending"
      ? `the agent of ${quote(entry.request!)} was told of an answer, and there was none`
      : undefined,

  abandonedWithLiveToken: (entry, logState) => {
    const token = findToken(entry, logState);
    return toCurrentEvent(entry.event) === "callback.abandoned" &&
      token?.state === "issued" &&
      entry.at < token.expiresAt
      ? `the token ${quote(entry.token!)} could not be delivered, and was left alive`
      : undefined;
  },
} satisfies { readonly [name: string]: EntryCheck };
