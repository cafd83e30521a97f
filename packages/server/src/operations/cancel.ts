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

/** Drops the latch, so that the agent may ask again. */
export async function reopen(
  store: Store,
  latchId: string,
): Promise<"done" | { readonly refused: "unknown" }> {
  const held = await store.read("latch", latchId);
  if (!held) return { refused: "unknown" };
  const { agent, approval, type } = held.record;
  const outcome = await store.commit({
    writes: [{ drop: "latch", id: latchId, expect: held.version }],
    entries: [newEntry("latch.reopened", store.now(), { request: approval, agent, facts: { type } })],
  });
  return outcome === "committed" ? "done" : { refused: "unknown" };
}
