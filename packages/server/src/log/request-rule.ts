/** What may happen to a request, and in which order; each rule with its own sentence. */
import { type AuthenticationLevel, authenticationLevels, type RequestState } from "@countersign/protocol";
import { type Rule, readAsked, requestOf, storyEvents } from "./past.ts";
import { quote } from "./problem.ts";

const decisions = ["request.approved", "request.denied"];
const possible: { readonly [event: string]: readonly RequestState[] } = {
  "request.approved": ["pending"],
  "request.denied": ["pending"],
  "request.expired": ["pending"],
  "request.lapsed": ["approved"],
  "request.cancelled": ["pending", "approved"],
};

export const requestRules = {
  idIsNew: ({ id }, past) =>
    past.ids.has(id) ? `the id ${quote(id)} was given to an earlier entry` : undefined,

  eventIsKnown: ({ event }) =>
    /^(request|token|callback)\./.test(event) &&
    event !== "request.refused" &&
    !Object.hasOwn(storyEvents, event)
      ? `${quote(event)} is not an event that these rules know`
      : undefined,

  entryIsWhole: (entry) => {
    const { event } = entry;
    const needed = Object.hasOwn(storyEvents, event) ? storyEvents[event]! : [];
    const missing = needed.find((name) => entry[name] === undefined);
    if (missing !== undefined) return `${event} does not say its ${missing}`;
    return event === "request.created" && !readAsked(entry)
      ? "request.created does not say card, audience, level, candidates and expiry"
      : undefined;
  },

  createdFirst: (entry, past) =>
    entry.request !== undefined && entry.event !== "request.created" && !requestOf(entry, past)
      ? `${quote(entry.event)} is about ${quote(entry.request)}, which was not created before it`
      : undefined,

  createdOnce: (entry, past) =>
    entry.event === "request.created" && requestOf(entry, past)
      ? `${quote(entry.request!)} was created before`
      : undefined,

  endsOnce: (entry, past) => {
    const state = requestOf(entry, past)?.state;
    if (
      !Object.hasOwn(possible, entry.event) ||
      state === undefined ||
      state === "pending" ||
      state === "approved"
    )
      return undefined;
    return `${quote(entry.request!)} was ${state} already, which is final: ${entry.event} cannot follow`;
  },

  statesInOrder: (entry, past) => {
    const state = requestOf(entry, past)?.state;
    if (!Object.hasOwn(possible, entry.event) || (state !== "pending" && state !== "approved"))
      return undefined;
    return possible[entry.event]!.includes(state)
      ? undefined
      : `${quote(entry.request!)} was ${state}: ${entry.event} cannot follow`;
  },

  decidedByCandidate: (entry, past) => {
    const request = requestOf(entry, past);
    if (!decisions.includes(entry.event) || request?.state !== "pending") return undefined;
    return request.candidates.includes(entry.approver!)
      ? undefined
      : `${quote(entry.approver!)} decided, and was not one of those who may`;
  },

  decidedInTime: (entry, past) => {
    const request = requestOf(entry, past);
    return decisions.includes(entry.event) && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was decided after it had expired`
      : undefined;
  },

  withdrawnInTime: (entry, past) => {
    const request = requestOf(entry, past);
    return entry.event === "request.cancelled" && request && entry.at >= request.expiresAt
      ? `${quote(entry.request!)} was cancelled after it had expired`
      : undefined;
  },

  ranOut: (entry, past) => {
    const request = requestOf(entry, past);
    const ended = entry.event === "request.expired" || entry.event === "request.lapsed";
    return ended && request && entry.at < request.expiresAt
      ? `${quote(entry.request!)} was written off before its time had run out`
      : undefined;
  },

  sameDigest: (entry, past) => {
    const digest = requestOf(entry, past)?.digest;
    return digest !== undefined && entry.digest !== undefined && entry.digest !== digest
      ? `${quote(entry.event)} has another digest than the request that it is about`
      : undefined;
  },

  sameAgent: (entry, past) => {
    const agent = requestOf(entry, past)?.agent;
    return agent !== undefined && entry.agent !== undefined && entry.agent !== agent
      ? `${quote(entry.event)} names another agent than the one that asked`
      : undefined;
  },

  sameCard: (entry, past) => {
    const request = requestOf(entry, past);
    return decisions.includes(entry.event) && request && entry.facts?.card_hash !== request.cardHash
      ? `${quote(entry.request!)} was decided on another card than the one that was made for it`
      : undefined;
  },

  levelReached: (entry, past) => {
    const request = requestOf(entry, past);
    if (entry.event !== "request.approved" || !request) return undefined;
    const reached = authenticationLevels.indexOf(entry.facts?.level as AuthenticationLevel);
    return reached < authenticationLevels.indexOf(request.level)
      ? `${quote(entry.request!)} was approved with a weaker proof than ${request.level}`
      : undefined;
  },
} satisfies { readonly [name: string]: Rule };
