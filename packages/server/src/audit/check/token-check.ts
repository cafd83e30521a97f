/** One approval, one token, one use, as the log must tell it; each rule with its own sentence. */
import type { TokenState } from "@countersign/protocol";
import { quote } from "../problem.ts";
import { type EntryCheck, findRequest, findToken } from "./log-state.ts";

const settled = ["token.completed", "token.failed", "token.unknown"];
const unspent = ["token.reserved", "token.expired", "token.revoked"];

export const tokenChecks = {
  issuedOnce: (entry, logState) =>
    entry.event === "token.issued" && findRequest(entry, logState)?.state === "redeemed"
      ? `${quote(entry.request!)} was turned into a token before`
      : undefined,

  issuedAfterApproval: (entry, logState) => {
    const state = findRequest(entry, logState)?.state;
    if (entry.event !== "token.issued" || state === undefined || state === "approved" || state === "redeemed")
      return undefined;
    return `a token was issued for ${quote(entry.request!)}, which was ${state} and not approved`;
  },

  issuedInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return entry.event === "token.issued" && request && entry.at >= request.expiresAt
      ? `a token was issued for ${quote(entry.request!)} after it had expired`
      : undefined;
  },

  issuedForDecision: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (entry.event !== "token.issued" || request?.approver === undefined) return undefined;
    if (entry.approver !== request.approver)
      return "a token was issued in the name of somebody who did not approve";
    if (entry.facts?.audience !== request.audience)
      return "a token was issued for another API than the approved one";
    return typeof entry.facts.expires_at === "number"
      ? undefined
      : "token.issued does not say when the token expires";
  },

  tokenIsNew: (entry, logState) =>
    entry.event === "token.issued" && findToken(entry, logState)
      ? `the token ${quote(entry.token!)} was issued before`
      : undefined,

  tokenIsOfRequest: (entry, logState) => {
    if (entry.token === undefined || entry.event === "token.issued" || !findRequest(entry, logState))
      return undefined;
    return findToken(entry, logState)?.request === entry.request
      ? undefined
      : `${quote(entry.event)} names the token ${quote(entry.token)}, which was not issued for that request`;
  },

  spentOnce: (entry, logState) => {
    const token = findToken(entry, logState);
    return unspent.includes(entry.event) && token && token.state !== "issued"
      ? `the token ${quote(entry.token!)} was ${token.state} already: ${entry.event} cannot follow`
      : undefined;
  },

  reservedInTime: (entry, logState) => {
    const token = findToken(entry, logState);
    return entry.event === "token.reserved" && token && entry.at >= token.expiresAt
      ? `the token ${quote(entry.token!)} was reserved after it had expired`
      : undefined;
  },

  tokenNotExpiredEarly: (entry, logState) => {
    const token = findToken(entry, logState);
    return entry.event === "token.expired" && token && entry.at < token.expiresAt
      ? `the token ${quote(entry.token!)} was written off before its time had run out`
      : undefined;
  },

  settledAfterReserved: (entry, logState) => {
    const token = findToken(entry, logState);
    if (!settled.includes(entry.event) || !token) return undefined;
    const from: readonly TokenState[] =
      entry.event === "token.unknown" ? ["reserved"] : ["reserved", "unknown"];
    return from.includes(token.state)
      ? undefined
      : `the token ${quote(entry.token!)} was ${token.state}: ${entry.event} follows only a reservation`;
  },
} satisfies { readonly [name: string]: EntryCheck };
