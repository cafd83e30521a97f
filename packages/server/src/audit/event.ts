/**
 * The audit event catalogue: one definition per event. `newEntry` is typed by it, and the logger (severity), the metrics,
 * and log verification (which events form a request's history, and what each must name) derive from it. To add an event:
 * a definition here, and, if its order matters, a check in `audit/check/` with its counterexample.
 */
import type { Actor, Entry, JsonObject } from "@countersign/protocol";
import type { ActorType } from "./actor.ts";

/** Members of an entry that name what it is about. */
type Member = "request" | "agent" | "approver" | "token" | "api" | "digest";

type EventDefinition = {
  /** Who may cause it: `newEntry` accepts no other actor, and verification rejects one. */
  readonly actors: readonly ActorType[];
  /** Members that every entry of this event has. */
  readonly requires?: readonly Member[];
  /** Facts that every entry of this event has. */
  readonly facts?: readonly string[];
  /** Part of the history of one request: verification rejects an entry without the required members. */
  readonly history?: true;
  /** Of the log line. Default: "info". */
  readonly severity?: "warn";
  /** The counter that counts it. */
  readonly metric?: "requests" | "requestsRefused" | "tokens" | "spendsRefused" | "messages" | "callbacks";
  /** Its name in entries of version 1. Entries are immutable, so verification accepts it there, and only there. */
  readonly formerly?: string;
};

const define = <const D extends EventDefinition>(definition: D) => definition;

const request = ["request", "agent", "digest"] as const;
const decision = ["request", "agent", "approver", "digest"] as const;
const token = ["request", "agent", "token", "digest"] as const;
const spend = ["request", "agent", "token", "api", "digest"] as const;
const callback = ["request", "agent"] as const;

export const events = {
  "request.created": define({
    actors: ["agent"],
    requires: request,
    facts: ["audience", "card_hash", "level", "candidates", "expires_at"],
    history: true,
    metric: "requests",
  }),
  "request.refused": define({
    actors: ["agent"],
    requires: ["agent"],
    facts: ["error"],
    severity: "warn",
    metric: "requestsRefused",
  }),
  "request.approved": define({
    actors: ["approver"],
    requires: decision,
    facts: ["card_hash", "level"],
    history: true,
    metric: "requests",
  }),
  "request.denied": define({
    actors: ["approver"],
    requires: decision,
    facts: ["card_hash"],
    history: true,
    metric: "requests",
  }),
  "request.expired": define({ actors: ["system"], requires: request, history: true, metric: "requests" }),
  "request.lapsed": define({ actors: ["system"], requires: request, history: true, metric: "requests" }),
  "request.cancelled": define({ actors: ["admin"], requires: request, history: true, metric: "requests" }),

  "token.issued": define({
    actors: ["agent", "system"],
    requires: [...decision, "token"],
    facts: ["expires_at"],
    history: true,
    metric: "tokens",
  }),
  "token.reserved": define({ actors: ["api"], requires: spend, history: true, metric: "tokens" }),
  "token.completed": define({ actors: ["api"], requires: spend, history: true, metric: "tokens" }),
  "token.failed": define({ actors: ["api"], requires: spend, history: true, metric: "tokens" }),
  "token.unknown": define({
    actors: ["system"],
    requires: token,
    history: true,
    severity: "warn",
    metric: "tokens",
  }),
  "token.expired": define({ actors: ["system"], requires: token, history: true, metric: "tokens" }),
  "token.revoked": define({ actors: ["agent", "system"], requires: token, history: true, metric: "tokens" }),
  "spend.refused": define({
    actors: ["api"],
    requires: ["api"],
    facts: ["error"],
    severity: "warn",
    metric: "spendsRefused",
  }),

  "message.sent": define({ actors: ["system"], requires: ["request", "approver"], metric: "messages" }),
  "message.abandoned": define({
    actors: ["system"],
    requires: ["request", "approver"],
    severity: "warn",
    metric: "messages",
    formerly: "message.given_up",
  }),
  "callback.failed": define({
    actors: ["system"],
    requires: callback,
    facts: ["mode"],
    history: true,
    severity: "warn",
    metric: "callbacks",
  }),
  "callback.sent": define({
    actors: ["system"],
    requires: callback,
    facts: ["mode"],
    history: true,
    metric: "callbacks",
  }),
  "callback.abandoned": define({
    actors: ["system"],
    requires: callback,
    facts: ["mode"],
    history: true,
    severity: "warn",
    metric: "callbacks",
    formerly: "callback.given_up",
  }),

  "denial.released": define({ actors: ["admin"], requires: ["agent"], formerly: "latch.reopened" }),
  "agent.added": define({ actors: ["admin", "agent"], requires: ["agent"] }),
  "agent.changed": define({ actors: ["admin", "agent"], requires: ["agent"] }),
  "agent.paused": define({ actors: ["admin", "approver"], requires: ["agent"], severity: "warn" }),
  "agent.resumed": define({ actors: ["admin", "approver"], requires: ["agent"] }),
  "agent.removed": define({ actors: ["admin", "agent"], requires: ["agent"] }),
  "initial_access_token.created": define({ actors: ["admin"], formerly: "registration.allowed" }),
  "initial_access_token.expired": define({ actors: ["system"], formerly: "registration.expired" }),
  "initial_access_token.revoked": define({ actors: ["admin"], formerly: "registration.withdrawn" }),
  "api.added": define({ actors: ["admin"], requires: ["api"] }),
  "api.removed": define({ actors: ["admin"], requires: ["api"] }),

  "contact.removed": define({
    actors: ["admin"],
    requires: ["approver"],
    facts: ["contact", "channel"],
  }),
  "contact.disabled": define({
    actors: ["system"],
    requires: ["approver"],
    facts: ["contact", "channel"],
    severity: "warn",
  }),

  "approver.invited": define({ actors: ["admin", "approver"], requires: ["approver"] }),
  "approver.removed": define({ actors: ["admin"], requires: ["approver"] }),
  "approver.signed_in": define({ actors: ["approver"], requires: ["approver"] }),
  "approver.user_code_set": define({ actors: ["admin"], requires: ["approver"] }),
  "invitation.expired": define({ actors: ["system"], requires: ["approver"] }),
  "device.enrolled": define({
    actors: ["approver"],
    requires: ["approver"],
    facts: ["credential", "public_key", "rp_id", "origin"],
  }),
  "device.removed": define({ actors: ["approver", "admin"], requires: ["approver"], facts: ["credential"] }),

  "action_type.published": define({ actors: ["admin"], facts: ["type", "hash"], formerly: "type.published" }),
  "policy.reloaded": define({ actors: ["admin"], facts: ["from", "to", "changes"] }),
  "key.created": define({ actors: ["system", "admin"] }),
  "texts.erased": define({ actors: ["admin"], requires: ["request"] }),
} satisfies { readonly [event: string]: EventDefinition };

export type Event = keyof typeof events;

/** Details of an entry of any event, not checked against its definition: for reading and for forged logs in tests. */
export type AnyEntryDetails = Pick<Entry, Member> & {
  readonly actor: Actor;
  readonly facts?: JsonObject;
  readonly texts?: { readonly [name: string]: string | undefined };
};

type Names<E extends Event, Key extends "requires" | "facts"> = (typeof events)[E] extends {
  readonly [K in Key]: readonly (infer Name extends string)[];
}
  ? Name
  : never;

/** Who may cause an event. */
export type ActorOf<E extends Event> = Actor & { readonly type: (typeof events)[E]["actors"][number] };

/** What `newEntry` takes for an event: its actor, its required members and facts, and any others. */
export type EntryDetails<E extends Event> = {
  readonly actor: ActorOf<E>;
} & Pick<Entry, Exclude<Member, Names<E, "requires">>> & {
    readonly [M in Names<E, "requires">]: string;
  } & ([Names<E, "facts">] extends [never]
    ? { readonly facts?: JsonObject }
    : {
        readonly facts: JsonObject & { readonly [F in Names<E, "facts">]: NonNullable<JsonObject[string]> };
      }) & {
    /** Personal text by name; undefined ones are left out. */
    readonly texts?: { readonly [name: string]: string | undefined };
  };

const formerNames = new Map<string, Event>();
for (const [name, definition] of Object.entries(events) as [Event, EventDefinition][])
  if (definition.formerly !== undefined) formerNames.set(definition.formerly, name);

/** Returns the current name of an event; unknown names are returned as they are. */
export function toCurrentEvent(name: string): string {
  return formerNames.get(name) ?? name;
}

/** Returns the definition of an event by its current or former name, or undefined. */
export function findEvent(name: string): EventDefinition | undefined {
  const current = toCurrentEvent(name);
  return Object.hasOwn(events, current) ? events[current as Event] : undefined;
}

/** Returns what an entry of this event must have if the event is part of a request's history, otherwise undefined. */
export function listHistoryMembers(name: string): readonly (keyof Entry)[] | undefined {
  const definition = findEvent(name);
  if (!definition?.history) return undefined;
  return [...(definition.requires ?? []), ...(definition.facts ? (["facts"] as const) : [])];
}
