/** Operator commands on requests: cancel a request that has no token yet; release denials. */
import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { type ApprovalRequest, cancel, type RequestRefusal } from "../../domain/request/request.ts";
import type { Store } from "../../store/store.ts";
import { queueCallback } from "./callback-writes.ts";

/** Cancels a request. Refuses an unknown request, and one that has ended or has a token. */
export async function cancelRequest(
  store: Store,
  id: string,
): Promise<ApprovalRequest | { readonly refused: RequestRefusal | "unknown" }> {
  for (;;) {
    const found = await store.read("request", id);
    if (!found) return { refused: "unknown" };
    const now = store.now();
    const next = cancel(found.record, now);
    if ("refused" in next) return next;
    const { agent, digest, delivery } = found.record;
    const outcome = await store.commit({
      notOnOrAfter: found.record.expiresAt,
      writes: [
        { put: "request", record: next, ifVersion: found.version },
        ...(delivery === "poll" ? [] : await queueCallback(store, found.record, now)),
      ],
      entries: [newEntry("request.cancelled", now, { actor: operator, request: id, agent, digest })],
    });
    if (outcome === "committed") return next;
  }
}

/**
 * Deletes the denial with this id, or every denial of the request with this id, so that the agent may request the action
 * again. All of them or none.
 */
export async function releaseDenial(
  store: Store,
  id: string,
): Promise<"done" | { readonly refused: "unknown" }> {
  const denials = await store.list("denial");
  const found = denials.filter(({ record }) => record.id === id || record.requestId === id);
  const now = store.now();
  const entries = found.map(({ record: { agent, requestId: request, type } }) =>
    newEntry("denial.released", now, { actor: operator, request, agent, facts: { type } }),
  );
  const [first, ...others] = entries;
  if (!first) return { refused: "unknown" };
  const outcome = await store.commit({
    writes: found.map(({ record, version }) => ({ delete: "denial", id: record.id, ifVersion: version })),
    entries: [first, ...others],
  });
  return outcome === "committed" ? "done" : { refused: "unknown" };
}
