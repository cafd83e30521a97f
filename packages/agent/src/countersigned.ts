import { InvalidArgumentError } from "@countersign/protocol/client";
import { type Abortable, abortError } from "./connection.ts";
import { type Actions, canonicalizeArgument, type Granted } from "./request/action.ts";
import { type Ask, type Asked, getAction, type NewAsk } from "./request/ask.ts";
import type { Countersigned, Outcome } from "./token/redeem.ts";
import type { Approved } from "./token/token-response.ts";

/**
 * Runs the approved action. Receives the granted action, the token for `Authorization: Bearer`, and the whole approval, whose
 * `headers` replace the token if tokens are bound to a key. Called at most once for an approval.
 */
export type Run<A extends Actions, R> = (
  granted: Granted<A>,
  token: string,
  approved: Approved<A>,
) => R | Promise<R>;

/** Stores requests by idempotency key, so that they survive a restart. A `Map` satisfies it, as do Keyv and many caches. */
export type AskStore = {
  get(key: string): Ask<Actions> | undefined | null | Promise<Ask<Actions> | undefined | null>;
  set(key: string, ask: Ask<Actions>): unknown;
  delete(key: string): unknown;
};

/** Options of `countersigned`. `signal` stops waiting. */
export type RunOptions = Abortable & { readonly store?: undefined };
/** Options of `countersigned` with a store, which keeps the request until it ends. */
export type StoredRunOptions = Abortable & { readonly store: AskStore };

type AskingAgent = {
  ask<A extends Actions>(request: NewAsk<A>, options?: Abortable): Promise<Asked<A>>;
  wait<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Outcome<A>>;
};

/** Implements `Agent.countersigned`. */
export async function countersigned<A extends Actions, R>(
  agent: AskingAgent,
  request: NewAsk<A>,
  run: Run<A, R>,
  { signal, store }: RunOptions | StoredRunOptions,
): Promise<Countersigned<R>> {
  const key = request.idempotencyKey;
  if (store && key === undefined) throw new InvalidArgumentError("with a store, idempotencyKey is required");
  const stored = await store?.get(key!);
  if (stored && canonicalizeArgument(stored.action) !== canonicalizeArgument(getAction(request)))
    throw new InvalidArgumentError(`idempotencyKey ${key} was used for another action`);
  const asked = stored
    ? { outcome: "asked" as const, ask: stored as Ask<A> }
    : await agent.ask(request, { signal });
  if (asked.outcome === "refused") return asked;
  // After a crash before this line, the server returns the same request for the same key.
  if (!stored) await store?.set(key!, asked.ask);

  const outcome = await agent.wait(asked.ask, { signal });
  // After a crash from here to the end of `run`, the stored request resumes with the outcome `lost`.
  if (outcome.outcome !== "approved") {
    await deleteStored(store, key);
    return outcome;
  }
  if (signal?.aborted) throw abortError(signal);
  try {
    return { outcome: "approved", result: await run(outcome.action, outcome.token, outcome) };
  } finally {
    await deleteStored(store, key);
  }
}

/** Deletes the stored request. Errors are ignored: a request that has ended only returns its outcome again. */
async function deleteStored(store: AskStore | undefined, key: string | undefined): Promise<void> {
  try {
    await store?.delete(key!);
  } catch {}
}
