/** Checks of the state machine of tokens: one token per approval, one use per token. */
import type { TokenState } from "@countersign/protocol";
import { quote } from "../problem.ts";
import { type EntryCheck, findRequest, findToken } from "./log-state.ts";

const settled = ["token.completed", "token.failed", "token.unknown"];
const unspent = ["token.reserved", "token.expired", "token.revoked"];

export const tokenChecks = {
  issuedOnce: (entry, logState) =>
    entry.event === "token.issued" && findRequest(entry, logState)?.state === "redeemed"
      ? `${quote(entry.request!)} was already redeemed`
      : undefined,

  issuedAfterApproval: (entry, logState) => {
    const state = findRequest(entry, logState)?.state;
    if (entry.event !== "token.issued" || state === undefined || state === "approved" || state === "redeemed")
      return undefined;
    return `a token was issued for ${quote(entry.request!)}, which is ${state} and not approved`;
  },

  issuedInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return entry.event === "token.issued" && request && entry.at >= request.expiresAt
      ? `a token was issued for ${quote(entry.request!)} after it expired`
      : undefined;
  },

  issuedForDecision: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (entry.event !== "token.issued" || request?.approver === undefined) return undefined;
    if (entry.approver !== request.approver)
      return "a token was issued in the name of another person than the approver";
    if (entry.facts?.audience !== request.audience)
      return "a token was issued for another audience than the approved one";
    return typeof entry.facts.expires_at === "number" ? undefined : "token.issued lacks expires_at";
  },

  tokenIsNew: (entry, logState) =>
    entry.event === "token.issued" && findToken(entry, logState)
      ? `the token ${quote(entry.token!)} was already issued`
      : undefined,

  tokenIsOfRequest: (entry, logState) => {
    if (entry.token === undefined || entry.event === "token.issued" || !findRequest(entry, logState))
      return undefined;
    return findToken(entry, logState)?.request === entry.request
      ? undefined
      : `${quote(entry.event)} names the token ${quote(entry.token)}, which was not issued for this request`;
  },

  spentOnce: (entry, logState) => {
    const token = findToken(entry, logState);
    return unspent.includes(entry.event) && token && token.state !== "issued"
      ? `the token ${quote(entry.token!)} is already ${token.state}: ${entry.event} cannot follow`
      : undefined;
  },

  reservedInTime: (entry, logState) => {
    const token = findToken(entry, logState);
    return entry.event === "token.reserved" && token && entry.at >= token.expiresAt
      ? `the token ${quote(entry.token!)} was reserved after it expired`
      : undefined;
  },

  tokenNotExpiredEarly: (entry, logState) => {
    const token = findToken(entry, logState);
    return entry.event === "token.expired" && token && entry.at < token.expiresAt
      ? `the token ${quote(entry.token!)} was ended before it expired`
      : undefined;
  },

  settledAfterReserved: (entry, logState) => {
    const token = findToken(entry, logState);
    if (!settled.includes(entry.event) || !token) return undefined;
    const from: readonly TokenState[] =
      entry.event === "token.unknown" ? ["reserved"] : ["reserved", "unknown"];
    return from.includes(token.state)
      ? undefined
      : `the token ${quote(entry.token!)} is ${token.state}: ${entry.event} can only follow a reservation`;
  },
} satisfies { readonly [name: string]: EntryCheck };
