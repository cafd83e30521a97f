/**
 * Makes messages due that report the end of a request, as soon as it has ended. Without this they are due when the request
 * would expire, so a missed event delays an update and does not lose it.
 */
import type { ChangeEvent, Store, Versioned } from "../store/store.ts";

/** Makes the updates of a request due now. */
export async function scheduleUpdates(store: Store, requestId: string): Promise<void> {
  await makeDue(store, await store.listMessagesAwaiting(requestId));
}

const batchSize = 500;

/**
 * Makes the updates of ended requests due whose event was missed, for example because a process ended between a decision and
 * its event. Looks at the 500 messages that are due next.
 */
export async function scheduleMissedUpdates(store: Store): Promise<void> {
  const queued = await store.due("message", Number.MAX_SAFE_INTEGER, batchSize);
  const updates = queued.filter(({ record }) => record.kind === "resolved");
  if (updates.length === 0) return;
  const requestIds = [...new Set(updates.map(({ record }) => record.requestId))];
  const ended = new Set(await store.findNotPending(requestIds));
  await makeDue(
    store,
    updates.filter(({ record }) => ended.has(record.requestId)),
  );
}

/** Schedules updates when a request changes, in this process or another. Returns a function that stops it. */
export function watchForUpdates(store: Store, onFault: (fault: unknown, where: string) => void): () => void {
  return store.watch((event: ChangeEvent) => {
    if (!event || event.state === "pending") return;
    scheduleUpdates(store, event.requestId).catch((fault: unknown) => onFault(fault, "updates"));
  });
}

async function makeDue(store: Store, updates: readonly Versioned<"message">[]): Promise<void> {
  const now = store.now();
  // With attempts, it is leased or waits for its next attempt.
  const early = updates.filter(({ record }) => record.attempts === 0 && record.dueAt > now);
  await Promise.all(
    early.map(({ record, version }) =>
      store.commitUnlogged({
        writes: [{ put: "message", record: { ...record, dueAt: now }, ifVersion: version }],
      }),
    ),
  );
}
