/**
 * When agents are told (`notify.ts`): as soon as an answer is durable, and in rounds for what is to be tried again or was
 * left by a crash. An endpoint that is slow holds up its own agent and nobody else.
 */
import type { Callback } from "../client/callback.ts";
import type { Wake } from "../store/store.ts";
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
  const underWay = new Map<string, { readonly agent: string; readonly ended: Promise<void> }>();
  /** Something was left for when there is room. */
  let crowded = false;
  const unwatch = store.watch((wake) => void hear(wake));

  async function hear(wake: Wake): Promise<void> {
    if (!wake) return await guarded(round);
    if (wake.delivery === "poll" || wake.state === "pending") return;
    await guarded(async () => {
      const held = await store.read("callback", wake.approval);
      if (held) begin(held.record);
    });
  }

  async function round(): Promise<void> {
    crowded = false;
    const due = await store.due("callback", store.now(), batch);
    for (const { record } of due) begin(record);
  }

  function begin({ id, agent, state, dueAt }: Callback): void {
    if (stopping.signal.aborted || underWay.has(id) || state !== "waiting" || dueAt > store.now()) return;
    const ofAgent = [...underWay.values()].filter((one) => one.agent === agent).length;
    if (underWay.size >= atOnce || ofAgent >= atOncePerAgent) {
      crowded = true;
      return;
    }
    const ended = guarded(() => notify(ground, id, stopping.signal)).then(() => {
      underWay.delete(id);
      if (crowded && !stopping.signal.aborted) return guarded(round);
    });
    underWay.set(id, { agent, ended });
  }

  async function guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (fault) {
      onFault(fault, "notify");
    }
  }

  async function idle(): Promise<void> {
    while (underWay.size > 0) await Promise.all([...underWay.values()].map(({ ended }) => ended));
  }

  return {
    round,
    idle,
    stop: async () => {
      unwatch();
      stopping.abort();
      await idle();
    },
  };
}
