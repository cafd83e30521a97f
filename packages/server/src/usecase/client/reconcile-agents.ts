/**
 * Brings the store's agents to what the configuration says of them: at the start, before anybody is answered. Agents that
 * came in by other ways are left alone, and an id is never taken from them. Who is paused stays so.
 */

import { configuration } from "../../audit/actor.ts";
import type { Policy } from "../../config/sections.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Store } from "../../store/store.ts";
import { addAgent, remove } from "./client-lifecycle.ts";
import { changeAgent, diffAgents } from "./update-agent.ts";

export type ReconcilePlan = {
  readonly add: readonly string[];
  readonly change: readonly string[];
  readonly remove: readonly string[];
  /** Ids that the configuration declares, and that belong to agents which came in otherwise. */
  readonly taken: readonly Agent[];
};

/** What there is to do, and nothing done. */
export async function planReconciliation(
  store: Store,
  { agents: declared }: Pick<Policy, "agents">,
): Promise<ReconcilePlan> {
  const found = new Map((await store.list("agent")).map(({ record }) => [record.id, record]));
  const ids = [...declared.keys()];
  const own = ids.filter((id) => found.get(id)?.source === "configuration");
  return {
    add: ids.filter((id) => !found.has(id)),
    change: own.filter((id) => {
      const before = found.get(id)!;
      const { paused, createdAt, source } = before;
      const after = { id, paused, createdAt, source, ...declared.get(id)! };
      return Object.keys(diffAgents(before, after)).length > 0;
    }),
    remove: [...found.values()]
      .filter(({ id, source }) => source === "configuration" && !declared.has(id))
      .map(({ id }) => id),
    taken: ids.flatMap((id) => {
      const agent = found.get(id);
      return agent && agent.source !== "configuration" ? [agent] : [];
    }),
  };
}

/** Throws, and changes nothing, where an id is taken. */
export async function reconcileAgents(store: Store, policy: Pick<Policy, "agents">): Promise<void> {
  for (;;) {
    const plan = await planReconciliation(store, policy);
    if (plan.taken.length > 0) throw new Error(plan.taken.map(formatIdConflict).join("\n"));
    if (plan.add.length + plan.change.length + plan.remove.length === 0) return;
    for (const id of plan.add)
      await addAgent(store, { id, ...policy.agents.get(id)!, source: "configuration" });
    for (const id of plan.change) {
      const found = await store.read("agent", id);
      if (found) await changeAgent(store, found, policy.agents.get(id)!, { by: "configuration" });
    }
    for (const id of plan.remove) await remove(store, "agent", id, configuration);
    // Looked at again, because another node may start at this moment, and somebody may have paused an agent.
  }
}

export function formatIdConflict({ id, source }: Agent): string {
  const how = source === "registration" ? "registered itself" : "was added by command";
  return `agents.${id}: an agent with this id ${how}; name it otherwise here, or first: countersign agent remove ${id}`;
}
