/**
 * When agents are told (`notify.ts`): as soon as an answer is durable, and in rounds for what is to be tried again or was
 * left by a crash. An endpoint that is slow holds up its own agent and nobody else.
 */
import type { Callback } from "../domain/callback/callback.ts";
import type { ChangeEvent, Versioned } from "../store/store.ts";
import { type CallbackDeps, sendCallback } from "./send-callback.ts";

export type CallbackWorker = {
  /** Begins what is due, and does not wait for it. */
  readonly round: () => Promise<void>;
  /** Resolves when nothing is under way. */
  readonly idle: () => Promise<void>;
  /** Ends what is under way, which will be tried again, and begins nothing more. */
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
  /** By request, with its agent: what was chosen to be claimed, until its attempt has ended. */
  const underWay = new Map<string, string>();
  const attempts = new Set<Promise<void>>();
  /** Something was left for when there is room. */
  let crowded = false;
  let looking: Promise<void> | undefined;
  let again = false;
  const unwatch = store.watch((wake) => void hear(wake));

  async function hear(wake: ChangeEvent): Promise<void> {
    // Whoever wrote it is at it already. Should that one die, the lease or the next round has it.
    if (wake && (wake.remote || wake.delivery === "poll" || wake.state === "pending")) return;
    await guarded(look);
  }

  /** One after the other: what is asked for while one is under way is asked together afterwards. */
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
      // Another node has them.
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
