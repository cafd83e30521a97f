/** Checks of the state machine of requests. */
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
    logState.ids.has(id) ? `the id ${quote(id)} belongs to an earlier entry` : undefined,

  eventIsKnown: ({ event }) =>
    /^(request|token|callback)\./.test(event) && event !== "request.refused" && !findEvent(event)?.history
      ? `${quote(event)} is not a known event`
      : undefined,

  entryIsComplete: (entry) => {
    const { event } = entry;
    const needed = listHistoryMembers(event) ?? [];
    const missing = needed.find((name) => entry[name] === undefined);
    if (missing !== undefined) return `${event} lacks ${missing}`;
    return event === "request.created" && !readCreatedRequest(entry)
      ? "request.created lacks card_hash, audience, level, candidates or expires_at"
      : undefined;
  },

  createdFirst: (entry, logState) =>
    entry.request !== undefined && entry.event !== "request.created" && !findRequest(entry, logState)
      ? `${quote(entry.event)} is about ${quote(entry.request)}, which was not created before it`
      : undefined,

  createdOnce: (entry, logState) =>
    entry.event === "request.created" && findRequest(entry, logState)
      ? `${quote(entry.request!)} was already created`
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
    return `${quote(entry.request!)} is ${state}, which is final: ${entry.event} cannot follow`;
  },

  statesInOrder: (entry, logState) => {
    const state = findRequest(entry, logState)?.state;
    if (!Object.hasOwn(allowedFrom, entry.event) || (state !== "pending" && state !== "approved"))
      return undefined;
    return allowedFrom[entry.event]!.includes(state)
      ? undefined
      : `${quote(entry.request!)} is ${state}: ${entry.event} cannot follow`;
  },

  decidedByCandidate: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (!decisions.includes(entry.event) || request?.state !== "pending") return undefined;
    return request.candidates.includes(entry.approver!)
      ? undefined
      : `${quote(entry.approver!)} decided, but is not a candidate`;
  },

  decidedInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return decisions.includes(entry.event) && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was decided after it expired`
      : undefined;
  },

  cancelledInTime: (entry, logState) => {
    const request = findRequest(entry, logState);
    return entry.event === "request.cancelled" && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was cancelled after it expired`
      : undefined;
  },

  notExpiredEarly: (entry, logState) => {
    const request = findRequest(entry, logState);
    const ended = entry.event === "request.expired" || entry.event === "request.lapsed";
    return ended && request && entry.at < request.expiresAt
      ? `${quote(entry.request!)} was ended before it expired`
      : undefined;
  },

  sameDigest: (entry, logState) => {
    const digest = findRequest(entry, logState)?.digest;
    return digest !== undefined && entry.digest !== undefined && entry.digest !== digest
      ? `${quote(entry.event)} has another digest than its request`
      : undefined;
  },

  sameAgent: (entry, logState) => {
    const agent = findRequest(entry, logState)?.agent;
    return agent !== undefined && entry.agent !== undefined && entry.agent !== agent
      ? `${quote(entry.event)} names another agent than its request`
      : undefined;
  },

  sameCard: (entry, logState) => {
    const request = findRequest(entry, logState);
    return decisions.includes(entry.event) && request && entry.facts?.card_hash !== request.cardHash
      ? `${quote(entry.request!)} was decided on another card than its own`
      : undefined;
  },

  levelReached: (entry, logState) => {
    const request = findRequest(entry, logState);
    if (entry.event !== "request.approved" || !request) return undefined;
    const reached = authenticationLevels.indexOf(entry.facts?.level as AuthenticationLevel);
    return reached < authenticationLevels.indexOf(request.level)
      ? `${quote(entry.request!)} was approved at a lower level than ${request.level}`
      : undefined;
  },
} satisfies { readonly [name: string]: EntryCheck };
