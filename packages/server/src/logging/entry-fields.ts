/** The log line of an audit entry: its ids, the facts that may be logged, and its severity. */
import type { Entry, Json } from "@countersign/protocol";
import { findEvent } from "../audit/event.ts";

/**
 * Facts that are logged: names chosen by the operator, codes and numbers. Other facts may contain client metadata or public
 * keys. Of the actor only its type and `via` are logged; approvers are never logged.
 */
const loggedFacts = [
  "type",
  "types",
  "error",
  "stage",
  "limit",
  "channel",
  "mode",
  "attempt",
  "attempts",
  "status",
  "by",
] as const;

export function toEntryFields({ event, id, actor, request, agent, api, token, facts = {} }: Entry): {
  readonly severity: "info" | "warn";
  readonly fields: { readonly [name: string]: Json | undefined };
} {
  const { type, via } = actor ?? {};
  const fields: { [name: string]: Json | undefined } = {
    entry: id,
    actor: type,
    via,
    request,
    agent,
    api,
    token,
  };
  for (const name of loggedFacts) if (facts[name] !== undefined) fields[name] = facts[name];
  // `level` is the severity of the line.
  if (facts.level !== undefined) fields.auth_level = facts.level;
  return { severity: findEvent(event)?.severity ?? "info", fields };
}
