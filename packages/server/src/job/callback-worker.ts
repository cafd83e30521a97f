/**
 * Sends callbacks (`send-callback.ts`): as soon as a decision is durable, and from the scheduler for retries and callbacks
 * left by a crash. Concurrency is limited in total and per agent, so a slow endpoint delays only its own agent.
 */
import type { Callback } from "../domain/callback/callback.ts";
import type { ChangeEvent, Versioned } from "../store/store.ts";
import { type CallbackDeps, sendCallback } from "./send-callback.ts";

export type CallbackWorker = {
  /** Starts the callbacks that are due. Resolves when they have started, not when they have ended. */
  readonly startDue: () => Promise<void>;
  /** Resolves when no attempt is running. */
  readonly idle: () => Promise<void>;
  /** Aborts running attempts, which are retried when their lease expires, and starts no more. */
  readonly stop: () => Promise<void>;
};

const maxConcurrent = 200;
const maxConcurrentPerAgent = 8;
const batchSize = 500;

export function createCallbackWorker(
  deps: CallbackDeps,
  onFault: (fault: unknown, where: string) => void,
): CallbackWorker {
  const { store } = deps;
  const stopping = new AbortController();
  /** Agent by request id: callbacks from selection until their attempt ends. */
  const inProgress = new Map<string, string>();
  const attempts = new Set<Promise<void>>();
  /** Set if more callbacks are due than the concurrency limits allow. */
  let hasMore = false;
  let starting: Promise<void> | undefined;
  let isRequested = false;
  const unwatch = store.watch((event) => void onChange(event));

  async function onChange(event: ChangeEvent): Promise<void> {
    // The node that wrote a remote change sends its callback. If that node dies, the next scheduled run sends it.
    if (event && (event.remote || event.delivery === "poll" || event.state === "pending")) return;
    await reportFault(startDue);
  }

  /** Runs `startBatch` one at a time. Calls made during a run are merged into one more run. */
  function startDue(): Promise<void> {
    isRequested = true;
    starting ??= (async () => {
      try {
        while (isRequested) {
          isRequested = false;
          await startBatch();
        }
      } finally {
        starting = undefined;
      }
    })();
    return starting;
  }

  async function startBatch(): Promise<void> {
    hasMore = false;
    const due = await store.due("callback", store.now(), batchSize);
    const chosen = due.filter(({ record }) => choose(record)).map(({ record }) => record.id);
    if (chosen.length === 0) return;
    const unclaimed = new Set(chosen);
    try {
      for (const found of await store.claim("callback", { ids: chosen })) {
        unclaimed.delete(found.record.id);
        attempt(found);
      }
    } finally {
      // Claimed by another node.
      for (const id of unclaimed) inProgress.delete(id);
    }
  }

  function choose({ id, agent, state }: Callback): boolean {
    if (stopping.signal.aborted || inProgress.has(id) || state !== "queued") return false;
    const agentCount = [...inProgress.values()].filter((other) => other === agent).length;
    const isFull = inProgress.size >= maxConcurrent || agentCount >= maxConcurrentPerAgent;
    hasMore ||= isFull;
    if (!isFull) inProgress.set(id, agent);
    return !isFull;
  }

  function attempt(found: Versioned<"callback">): void {
    const ended = reportFault(() => sendCallback(deps, found, stopping.signal)).then(async () => {
      inProgress.delete(found.record.id);
      attempts.delete(ended);
      if (hasMore && !stopping.signal.aborted) await reportFault(startDue);
    });
    attempts.add(ended);
  }

  async function reportFault(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (fault) {
      onFault(fault, "notify");
    }
  }

  async function idle(): Promise<void> {
    while (starting || attempts.size > 0) await Promise.allSettled([starting, ...attempts]);
  }

  return {
    startDue,
    idle,
    stop: async () => {
      unwatch();
      stopping.abort();
      await idle();
    },
  };
}
