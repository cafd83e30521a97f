/**
 * Passes received callbacks to the `wait` calls of this process. A callback is kept until it is taken, because it can arrive
 * before the response to the request. In memory only: after a crash, a lost ping costs time, and a pushed result is lost.
 */
import type { JsonObject } from "@countersign/protocol";

/** A ping reports that a result is ready. A push contains the result. */
export type CallbackEvent = { readonly pushed?: JsonObject };

export type CallbackInbox = {
  /** Records that this process sends, or has sent, a request with this key. */
  expect(idempotencyKey: string, authReqId?: string): void;
  /** Returns true if this process sent the request, so that it receives its callbacks. */
  isExpected(idempotencyKey: string): boolean;
  /** Returns `here` if the request is this process's, `mismatch` if the key belongs to another `auth_req_id`. */
  findAddressee(idempotencyKey: string, authReqId: string): "here" | "unknown" | "mismatch";
  /** Returns true if this process waits for the request, or is about to. */
  isAwaited(idempotencyKey: string, authReqId: string): boolean;
  put(authReqId: string, event: CallbackEvent): void;
  /** Registers a waiter by the request's key or id. The returned function removes it. */
  subscribe(name: string): () => void;
  /** Returns a signal that is aborted as soon as there is an event to take. */
  waiter(authReqId: string): AbortSignal;
  /** Removes and returns the event, if there is one. */
  take(authReqId: string): CallbackEvent | undefined;
  /** Marks the request as ended: later events are dropped. */
  end(authReqId: string): void;
  isEnded(authReqId: string): boolean;
};

type Slot = { event?: CallbackEvent; waiter: AbortController; ended: boolean };

/** Maximum number of requests and of callbacks. The oldest are dropped. */
const maxEntries = 10_000;

export function createCallbackInbox(): CallbackInbox {
  const asked = new Map<string, string | undefined>();
  const slots = new Map<string, Slot>();
  const waiters = new Map<string, number>();

  function getSlot(authReqId: string): Slot {
    const found = slots.get(authReqId);
    if (found) return found;
    const slot: Slot = { waiter: new AbortController(), ended: false };
    return setBounded(slots, authReqId, slot);
  }

  return {
    expect(idempotencyKey, authReqId) {
      setBounded(asked, idempotencyKey, authReqId ?? asked.get(idempotencyKey));
    },
    isExpected: (idempotencyKey) => asked.has(idempotencyKey),
    findAddressee(idempotencyKey, authReqId) {
      if (asked.has(idempotencyKey)) {
        const found = asked.get(idempotencyKey);
        return found === undefined || found === authReqId ? "here" : "mismatch";
      }
      return waiters.has(authReqId) ? "here" : "unknown";
    },
    isAwaited: (idempotencyKey, authReqId) => waiters.has(idempotencyKey) || waiters.has(authReqId),
    put(authReqId, event) {
      const slot = getSlot(authReqId);
      if (slot.ended) return;
      slot.event = event;
      slot.waiter.abort();
    },
    subscribe(name) {
      waiters.set(name, (waiters.get(name) ?? 0) + 1);
      return () => {
        const count = (waiters.get(name) ?? 1) - 1;
        if (count > 0) waiters.set(name, count);
        else waiters.delete(name);
      };
    },
    waiter: (authReqId) => getSlot(authReqId).waiter.signal,
    take(authReqId) {
      const slot = slots.get(authReqId);
      if (!slot?.event) return undefined;
      const { event } = slot;
      slot.event = undefined;
      slot.waiter = new AbortController();
      return event;
    },
    end(authReqId) {
      const slot = getSlot(authReqId);
      slot.ended = true;
      slot.event = undefined;
    },
    isEnded: (authReqId) => slots.get(authReqId)?.ended === true,
  };
}

/** Sets an entry of an LRU map with at most `maxEntries` entries. */
function setBounded<V>(map: Map<string, V>, name: string, value: V): V {
  map.delete(name);
  if (map.size >= maxEntries) map.delete(map.keys().next().value!);
  map.set(name, value);
  return value;
}
