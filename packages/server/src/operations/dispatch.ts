/**
 * When agents are told (`notify.ts`): as soon as an answer is durable, and in rounds for what is to be tried again or was
 * left by a crash. An endpoint that is slow holds up its own agent and nobody else.
 */
import type { Callback } from "../client/callback.ts";
import type { Held, Wake } from "../store/store.ts";
import { type NotifyGround, notify } from "./notify.ts";

export type Dispatch = {
  /** Begins what is due, and does not wait for it. */
  readonly round: () => Promise<void>;
  /** Resolves when nothing is under way. */
  readonly idle: () => Promise<void>;
  /** Ends what is under way, which will be tried again, and begins nothing more. */
  readonly stop: () => Promise<void>;
};

const atOnce = 200;
const atOncePerAgent = 8;
const batch = 500;

export function createDispatch(
  ground: NotifyGround,
  onFault: (fault: unknown, where: string) => void,
): Dispatch {
  const { store } = ground;
  const stopping = new AbortController();
  /** By request, with its agent: what was chosen to be claimed, until its attempt has ended. */
  const underWay = new Map<string, string>();
  const attempts = new Set<Promise<void>>();
  /** Something was left for when there is room. */
  let crowded = false;
  let looking: Promise<void> | undefined;
  let again = false;
  const unwatch = store.watch((wake) => void hear(wake));

  async function hear(wake: Wake): Promise<void> {
    // Whoever wrote it is at it already. Should that one die, the lease or the next round has it.
    if (wake && (wake.elsewhere || wake.delivery === "poll" || wake.state === "pending")) return;
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
    const due = await store.due("callback", store.now(), batch);
    const chosen = due.filter(({ record }) => choose(record)).map(({ record }) => record.id);
    if (chosen.length === 0) return;
    const left = new Set(chosen);
    try {
      for (const held of await store.claim("callback", { ids: chosen })) {
        left.delete(held.record.id);
        attempt(held);
      }
    } finally {
      // Another node has them.
      for (const id of left) underWay.delete(id);
    }
  }

  function choose({ id, agent, state }: Callback): boolean {
    if (stopping.signal.aborted || underWay.has(id) || state !== "waiting") return false;
    const ofAgent = [...underWay.values()].filter((one) => one === agent).length;
    const full = underWay.size >= atOnce || ofAgent >= atOncePerAgent;
    crowded ||= full;
    if (!full) underWay.set(id, agent);
    return !full;
  }

  function attempt(held: Held<"callback">): void {
    const ended = guarded(() => notify(ground, held, stopping.signal)).then(async () => {
      underWay.delete(held.record.id);
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
