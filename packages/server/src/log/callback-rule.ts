/** When an agent was told of an answer, as the log must tell it; each rule with its own sentence. */
import { type Rule, requestOf, tokenOf } from "./past.ts";
import { quote } from "./problem.ts";

export const callbackRules = {
  toldAfterAnswer: (entry, past) =>
    entry.event.startsWith("callback.") && requestOf(entry, past)?.state === "pending"
      ? `the agent of ${quote(entry.request!)} was told of an answer, and there was none`
      : undefined,

  givenUpWithToken: (entry, past) => {
    const token = tokenOf(entry, past);
    return entry.event === "callback.given_up" && token?.state === "issued" && entry.at < token.expiresAt
      ? `the token ${quote(entry.token!)} could not be delivered, and was left alive`
      : undefined;
  },
} satisfies { readonly [name: string]: Rule };
