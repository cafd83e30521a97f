/**
 * What callbacks brought, between the receiver that took it in and whoever waits for the ask in this process. It is kept
 * until somebody asks for it, since a callback can be here before the answer to the ask is. In memory only: after a
 * crash a ping costs nothing but time, and what was pushed is lost.
 */
import type { JsonObject } from "@countersign/protocol";

/** A ping says only that there is an answer; a push is the answer. */
export type CallbackEvent = { readonly pushed?: JsonObject };

export type CallbackInbox = {
  /** This process asks, or has asked, under this key. */
  expect(idempotencyKey: string, authReqId?: string): void;
  /** Whether this process asked under this key, so that what comes for it comes here, if anywhere. */
  expected(idempotencyKey: string): boolean;
  /** Whether a callback for this ask is for this process, for another one's ask, or nobody knows. */
  addressee(idempotencyKey: string, authReqId: string): "here" | "unknown" | "mistaken";
  /** Whether somebody here waits for the ask, or is about to. */
  awaited(idempotencyKey: string, authReqId: string): boolean;
  put(authReqId: string, news: CallbackEvent): void;
  /** From here on somebody waits, by the ask's key or id, until what this answers is called. */
  subscribe(name: string): () => void;
  /** Aborted as soon as there is something to take. */
  waiter(authReqId: string): AbortSignal;
  /** What came and was not yet taken. */
  take(authReqId: string): CallbackEvent | undefined;
  /** Nothing that comes for this ask from now on is of use to anybody. */
  end(authReqId: string): void;
  ended(authReqId: string): boolean;
};

type Slot = { news?: CallbackEvent; waiter: AbortController; ended: boolean };

/** Asks and callbacks that are remembered. What nobody has taken by then nobody will. */
const maxEntries = 10_000;

export function createCallbackInbox(): CallbackInbox {
  const asked = new Map<string, string | undefined>();
  const boxes = new Map<string, Slot>();
  const attending = new Map<string, number>();

  function boxOf(authReqId: string): Slot {
    const known = boxes.get(authReqId);
    if (known) return known;
    const box: Slot = { waiter: new AbortController(), ended: false };
    return keep(boxes, authReqId, box);
  }

  return {
    expect(idempotencyKey, authReqId) {
      keep(asked, idempotencyKey, authReqId ?? asked.get(idempotencyKey));
    },
    expected: (idempotencyKey) => asked.has(idempotencyKey),
    addressee(idempotencyKey, authReqId) {
      if (asked.has(idempotencyKey)) {
        const known = asked.get(idempotencyKey);
        return known === undefined || known === authReqId ? "here" : "mistaken";
      }
      return attending.has(authReqId) ? "here" : "unknown";
    },
    awaited: (idempotencyKey, authReqId) => attending.has(idempotencyKey) || attending.has(authReqId),
    put(authReqId, news) {
      const box = boxOf(authReqId);
      if (box.ended) return;
      box.news = news;
      box.waiter.abort();
    },
    subscribe(name) {
      attending.set(name, (attending.get(name) ?? 0) + 1);
      return () => {
        const left = (attending.get(name) ?? 1) - 1;
        if (left > 0) attending.set(name, left);
        else attending.delete(name);
      };
    },
    waiter: (authReqId) => boxOf(authReqId).waiter.signal,
    take(authReqId) {
      const box = boxes.get(authReqId);
      if (!box?.news) return undefined;
      const { news } = box;
      box.news = undefined;
      box.waiter = new AbortController();
      return news;
    },
    end(authReqId) {
      const box = boxOf(authReqId);
      box.ended = true;
      box.news = undefined;
    },
    ended: (authReqId) => boxes.get(authReqId)?.ended === true,
  };
}

/** Keeps the newest ones. */
function keep<V>(map: Map<string, V>, name: string, value: V): V {
  map.delete(name);
  if (map.size >= maxEntries) map.delete(map.keys().next().value!);
  map.set(name, value);
  return value;
}
