/** Actors of audit entries: who caused an entry, and through which interface. */
import type { Actor } from "@countersign/protocol";
import type { Agent } from "../domain/client/client.ts";

export type ActorType = Actor["type"];

/** The operator, at the command line. */
export const operator = { type: "admin", via: "cli" } as const satisfies Actor;
/** The operator, through the configuration file that the server reads when it starts. */
export const configuration = { type: "admin", via: "config" } as const satisfies Actor;
/** A job that the server runs by itself. */
export const job = { type: "system", via: "job" } as const satisfies Actor;
/** The server, when it starts. */
export const startup = { type: "system", via: "start" } as const satisfies Actor;

/** Returns the approver, on the approver pages. */
export function toApproverActor(id: string) {
  return { type: "approver", id, via: "page" } as const satisfies Actor;
}

/** Returns the agent, at the protocol endpoints or at its client registration endpoint (RFC 7592). */
export function toAgentActor(id: string, via: "oauth" | "registration" = "oauth") {
  return { type: "agent", id, via } as const satisfies Actor;
}

/** Returns the API, at the protocol endpoints. */
export function toApiActor(id: string) {
  return { type: "api", id, via: "oauth" } as const satisfies Actor;
}

/** Returns the actor that adds, changes or removes the registration of agent `id`. */
export function toRegistrationActor(source: Agent["source"], id: string) {
  if (source === "registration") return toAgentActor(id, "registration");
  return source === "configuration" ? configuration : operator;
}
