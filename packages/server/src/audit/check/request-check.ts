/** What may happen to a request, and in which order; each rule with its own sentence. */
import { type AuthenticationLevel, authenticationLevels, type RequestState } from "@countersign/protocol";
import { findEvent, listHistoryMembers } from "../event.ts";
import { quote } from "../problem.ts";
import { type EntryCheck, findRequest, readCreatedRequest } from "./log-state.ts";

const decisions = ["request.approved", "request.denied"];
const allowedFrom: { readonly [event: string]: readonly RequestState[] } = {
  "request.approved": ["pending"],
  "request.denied": ["pending"],
  "request.expired": ["pending"],
  "request.lapsed": ["approved"],
  "request.cancelled": ["pending", "approved"],
};

export const requestChecks = {
  idIsNew: ({ id }, logState) =>
    logState.ids.has(id) ? `the id ${quote(id)} was given to an earlier entry` : undefined,

  eventIsKnown: ({ event }) =>
    /^(request|token|callback)\./.test(event) && event !== "request.refused" && !findEvent(event)?.history
      ? `${quote(event)} is not an event that these rules know`
      : undefined,

  entryIsComplete: (entry) => {
    const { event } = entry;
    const needed = listHistoryMembers(event) ?? [];
    const missing = needed.find((name) => entry[name] === undefined);
    if (missing !== undefined) return `${event} does not say its ${missing}`;
    return event === "request.created" && !readCreatedRequest(entry)
      ? "request.created does not say card, audience, level, candidates and expiry"
      : undefined;
  },

  createdFirst: (entry, logState) =>
    entry.request !== undefined && entry.event !== "request.created" && !findRequest(entry, logState)
      ? `${quote(entry.event)} is about ${quote(entry.request)}, which was not created before it`
      : undefined,

  createdOnce: (entry, logState) =>
    entry.event === "request.created" && findRequest(entry, logState)
      ? `${quote(entry.request!)} was created before`
      : undefined,

  endsOnce: (entry, logState) => {
    const state = findRequest(entry, logState)?.state;
    if (
      !Object.hasOwn(allowedFrom, entry.event) ||
      state === undefined ||
      state === "pending" ||
      state === "approved"
    )
      return undefined;
    return `${quote(entry.request!)} was ${state} already, which is final: ${entry.event} cannot follow`;
  },

  statesInOrder: (entry, logState) => {
    const state = findRequest(entry, logState)?.state;
    if (!Object.hasOwn(allowedFrom, entry.event) || (state !== "pending" && state !== "approved"))
      return undefined;
    return allowedFrom[entry.event]!.includes(state)
      ? undefined
      : `${quote(entry.request!)} was ${state}: ${entry.event} cannot follow`;
  },

  decidedByCandidate: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (!decisions.includes(entry.event) || request?.state !== "pending") return undefined;
    return request.candidates.includes(entry.approver!)
      ? undefined
      : `${quote(entry.approver!)} decided, and was not one of those who may`;
  },

  decidedInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return decisions.includes(entry.event) && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was decided after it had expired`
      : undefined;
  },

  cancelledInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return entry.event === "request.cancelled" && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was cancelled after it had expired`
      : undefined;
  },

  notExpiredEarly: (entry, logState) => {
    const request = findRequest(entry, logState);
    const ended = entry.event === "request.expired" || entry.event === "request.lapsed";
    return ended && request && entry.at < request.expiresAt
      ? `${quote(entry.request!)} was written off before its time had run out`
      : undefined;
  },

  sameDigest: (entry, logState) => {
    const digest = findRequest(entry, logState)?.digest;
    return digest !== undefined && entry.digest !== undefined && entry.digest !== digest
      ? `${quote(entry.event)} has another digest than the request that it is about`
      : undefined;
  },

  sameAgent: (entry, logState) => {
    const agent = findRequest(entry, logState)?.agent;
    return agent !== undefined && entry.agent !== undefined && entry.agent !== agent
      ? `${quote(entry.event)} names another agent than the one that asked`
      : undefined;
  },

  sameCard: (entry, logState) => {
    const request = findRequest(entry, logState);
    return decisions.includes(entry.event) && request && entry.facts?.card_hash !== request.cardHash
      ? `${quote(entry.request!)} was decided on another card than the one that was made for it`
      : undefined;
  },

  levelReached: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (entry.event !== "request.approved" || !request) return undefined;
    const reached = authenticationLevels.indexOf(entry.facts?.level as AuthenticationLevel);
    return reached < authenticationLevels.indexOf(request.level)
      ? `${quote(entry.request!)} was approved with a weaker proof than ${request.level}`
      : undefined;
  },
} satisfies { readonly [name: string]: EntryCheck };
