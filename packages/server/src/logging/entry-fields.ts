/** What a line says of an entry of the audit log: which ids and facts, and how loudly. */
import type { Entry, Json } from "@countersign/protocol";

/** What somebody ought to look at, or would look for first. Everything else went as it should. */
const warningEvents: ReadonlySet<string> = new Set([
  "request.refused",
  "spend.refused",
  "token.unknown",
  "message.given_up",
  "callback.failed",
  "callback.given_up",
  "agent.paused",
]);

/**
 * Facts whose values are the operator's own names, or words and numbers of ours. No other fact of an entry leaves: some hold
 * what an agent registered, and public keys. Who decided is in the audit log alone.
 */
const loggedFacts = [
  "type",
  "types",
  "error",
  "gate",
  "limit",
  "channel",
  "mode",
  "attempt",
  "attempts",
  "status",
  "by",
] as const;

export function toEntryFields({ event, id, request, agent, api, token, facts = {} }: Entry): {
  readonly severity: "info" | "warn";
  readonly fields: { readonly [name: string]: Json | undefined };
} {
  const fields: { [name: string]: Json | undefined } = { entry: id, request, agent, api, token };
  for (const name of loggedFacts) if (facts[name] !== undefined) fields[name] = facts[name];
  // `level` is how loud the line is.
  if (facts.level !== undefined) fields.proof = facts.level;
  return { severity: warningEvents.has(event) ? "warn" : "info", fields };
}
