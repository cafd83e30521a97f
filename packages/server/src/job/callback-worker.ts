/**
 * Sends callbacks (`send-callback.ts`): as soon as a decision is durable, and from the scheduler for retries and callbacks
 * left by a crash. Concurrency is limited in total and per agent, so a slow endpoint delays only its own agent.
 */
import type { Callback } from "../domain/callback/callback.ts";
import type { ChangeEvent, Versioned } from "../store/store.ts";
import { type CallbackDeps, sendCallback } from "./send-callback.ts";

export type CallbackWorker = {
  /** Starts the callbacks that are due. Resolves when they have started, not when they have ended. */
  readonly round: () => Promise<void>;
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
  const underWay = new Map<string, string>();
  const attempts = new Set<Promise<void>>();
  /** Set if more callbacks are due than the concurrency limits allow. */
  let crowded = false;
  let looking: Promise<void> | undefined;
  let again = false;
  const unwatch = store.watch((wake) => void hear(wake));

  async function hear(wake: ChangeEvent): Promise<void> {
    // The node that wrote a remote change sends its callback. If that node dies, the next scheduled run sends it.
    if (wake && (wake.remote || wake.delivery === "poll" || wake.state === "pending")) return;
    await guarded(look);
  }

  /** Runs `begin` one at a time. Calls made during a run are merged into one more run. */
  function look(): Promise<void> {
    again = true;
    looking ??= (async () => {
      try {
        while (again) {
          again = false;
          await begin();
        }
      } finally {
        looking = undefined;
      }
    })();
    return looking;
  }

  async function begin(): Promise<void> {
    crowded = false;
    const due = await store.due("callback", store.now(), batchSize);
    const chosen = due.filter(({ record }) => choose(record)).map(({ record }) => record.id);
    if (chosen.length === 0) return;
    const left = new Set(chosen);
    try {
      for (const found of await store.claim("callback", { ids: chosen })) {
        left.delete(found.record.id);
        attempt(found);
      }
    } finally {
      // Claimed by another node.
      for (const id of left) underWay.delete(id);
    }
  }

  function choose({ id, agent, state }: Callback): boolean {
    if (stopping.signal.aborted || underWay.has(id) || state !== "queued") return false;
    const ofAgent = [...underWay.values()].filter((one) => one === agent).length;
    const full = underWay.size >= maxConcurrent || ofAgent >= maxConcurrentPerAgent;
    crowded ||= full;
    if (!full) underWay.set(id, agent);
    return !full;
  }

  function attempt(found: Versioned<"callback">): void {
    const ended = guarded(() => sendCallback(deps, found, stopping.signal)).then(async () => {
      underWay.delete(found.record.id);
      attempts.delete(ended);
      if (crowded && !stopping.signal.aborted) await guarded(look);
    });
    attempts.add(ended);
  }

  async function guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (fault) {
      onFault(fault, "notify");
    }
  }

  async function idle(): Promise<void> {
    while (looking || attempts.size > 0) await Promise.allSettled([looking, ...attempts]);
  }

  return {
    round: look,
    idle,
    stop: async () => {
      unwatch();
      stopping.abort();
      await idle();
    },
  };
}
