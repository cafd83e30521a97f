/** Who may cause which event. Entries of version 1 have no actor, and nothing is checked about it. */
import { findEvent, toCurrentEvent } from "../event.ts";
import { quote } from "../problem.ts";
import type { EntryCheck } from "./log-state.ts";

export const actorChecks = {
  currentName: ({ v, event }) =>
    v > 1 && toCurrentEvent(event) !== event
      ? `${quote(event)} is the name of an event in entries of version 1; this one has version ${v}`
      : undefined,

  actorIsAllowed: ({ event, actor }) => {
    const allowed = findEvent(event)?.actors;
    return actor && allowed && !allowed.includes(actor.type)
      ? `${event} was caused by the actor type ${actor.type}, which cannot cause it`
      : undefined;
  },

  /** An approver decides, an agent redeems and an API spends in its own name. */
  actorIsNamed: (entry) => {
    const { event, actor } = entry;
    if (actor?.type !== "approver" && actor?.type !== "agent" && actor?.type !== "api") return undefined;
    return actor.id !== undefined && actor.id === entry[actor.type]
      ? undefined
      : `${quote(event)} was caused by ${actor.type} ${quote(actor.id ?? "")}, and names another ${actor.type} or none`;
  },
} satisfies { readonly [name: string]: EntryCheck };
