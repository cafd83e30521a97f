/**
 * Reconciles the agents of the store with the configuration, at startup before requests are served. Agents that were
 * added otherwise are left alone, and their ids are never taken over. Paused agents stay paused.
 */

import { configuration } from "../../audit/actor.ts";
import type { Policy } from "../../config/sections.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Store } from "../../store/store.ts";
import { addAgent, removeClient } from "./client-lifecycle.ts";
import { diffAgents, updateAgent } from "./update-agent.ts";

export type ReconcilePlan = {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Agents added otherwise, whose ids the configuration declares as well. */
  readonly conflicts: readonly Agent[];
};

/** Returns the plan without applying it. */
export async function planReconciliation(
  store: Store,
  { agents: declared }: Pick<Policy, "agents">,
): Promise<ReconcilePlan> {
  const existing = new Map((await store.list("agent")).map(({ record }) => [record.id, record]));
  const ids = [...declared.keys()];
  const declaredBefore = ids.filter((id) => existing.get(id)?.source === "configuration");
  return {
    added: ids.filter((id) => !existing.has(id)),
    changed: declaredBefore.filter((id) => {
      const before = existing.get(id)!;
      const { paused, createdAt, source } = before;
      const after = { id, paused, createdAt, source, ...declared.get(id)! };
      return Object.keys(diffAgents(before, after)).length > 0;
    }),
    removed: [...existing.values()]
      .filter(({ id, source }) => source === "configuration" && !declared.has(id))
      .map(({ id }) => id),
    conflicts: ids.flatMap((id) => {
      const agent = existing.get(id);
      return agent && agent.source !== "configuration" ? [agent] : [];
    }),
  };
}

/** Applies the plan. Throws, without changes, if there is an id conflict. */
export async function reconcileAgents(store: Store, policy: Pick<Policy, "agents">): Promise<void> {
  for (;;) {
    const plan = await planReconciliation(store, policy);
    if (plan.conflicts.length > 0) throw new Error(plan.conflicts.map(formatIdConflict).join("\n"));
    if (plan.added.length + plan.changed.length + plan.removed.length === 0) return;
    for (const id of plan.added)
      await addAgent(store, { id, ...policy.agents.get(id)!, source: "configuration" });
    for (const id of plan.changed) {
      const found = await store.read("agent", id);
      if (found) await updateAgent(store, found, policy.agents.get(id)!, { by: "configuration" });
    }
    for (const id of plan.removed) await removeClient(store, "agent", id, configuration);
    // Plan again: another node may start at the same time, and an agent may have been paused.
  }
}

export function formatIdConflict({ id, source }: Agent): string {
  const how = source === "registration" ? "registered itself" : "was added by command";
  return `agents.${id}: an agent with this id ${how}; choose another id, or run first: countersign agent remove ${id}`;
}
