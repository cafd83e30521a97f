/** The operator withdraws a request that has not become a token, or re-opens an action that a person denied. */
import { type Approval, type ApprovalRefusal, cancel } from "../approval/approval.ts";
import type { Store } from "../store/store.ts";
import { announced } from "./callback.ts";
import { newEntry } from "./entry.ts";

export async function cancelRequest(
  store: Store,
  id: string,
): Promise<Approval | { readonly refused: ApprovalRefusal | "unknown" }> {
  for (;;) {
    const held = await store.read("approval", id);
    if (!held) return { refused: "unknown" };
    const now = store.now();
    const next = cancel(held.record, now);
    if ("refused" in next) return next;
    const { agent, digest } = held.record;
    const outcome = await store.commit({
      before: held.record.expiresAt,
      writes: [
        { put: "approval", record: next, expect: held.version },
        ...(await announced(store, held.record, now)),
      ],
      entries: [newEntry("request.cancelled", now, { request: id, agent, digest })],
    });
    if (outcome === "committed") return next;
  }
}

/**
 * Drops the latch with this id, or all that the denial of the request with this id has left, so that the agent may ask
 * again. All of them or none.
 */
export async function reopen(store: Store, id: string): Promise<"done" | { readonly refused: "unknown" }> {
  const latches = await store.list("latch");
  const held = latches.filter(({ record }) => record.id === id || record.approval === id);
  const now = store.now();
  const entries = held.map(({ record: { agent, approval: request, type } }) =>
    newEntry("latch.reopened", now, { request, agent, facts: { type } }),
  );
  const [first, ...others] = entries;
  if (!first) return { refused: "unknown" };
  const outcome = await store.commit({
    writes: held.map(({ record, version }) => ({ drop: "latch", id: record.id, expect: version })),
    entries: [first, ...others],
  });
  return outcome === "committed" ? "done" : { refused: "unknown" };
}
