import { InvalidArgumentError } from "@countersign/protocol/client";
import { type Abortable, abortError } from "./connection.ts";
import { type Actions, canonicalizeArgument, type Granted } from "./request/action.ts";
import { type Ask, type Asked, actionOf, type NewAsk } from "./request/ask.ts";
import type { Countersigned, Outcome } from "./token/redeem.ts";
import type { Approved } from "./token/token-response.ts";

/**
 * What to do once it is approved. Gets the action as granted, the token to send along as `Authorization: Bearer`, and the
 * whole approval, whose `headers` go along instead where tokens are bound to a key. Called at most once for an approval.
 */
export type Run<A extends Actions, R> = (
  granted: Granted<A>,
  token: string,
  approved: Approved<A>,
) => R | Promise<R>;

/** Where asks outlive the process, by idempotency key. A `Map` has this shape, and so have Keyv and many caches. */
export type AskStore = {
  get(key: string): Ask<Actions> | undefined | null | Promise<Ask<Actions> | undefined | null>;
  set(key: string, ask: Ask<Actions>): unknown;
  delete(key: string): unknown;
};

export type RunOptions = Abortable & { readonly store?: undefined };
export type StoredRunOptions = Abortable & { readonly store: AskStore };

/** What this needs of an agent. */
type Asker = {
  ask<A extends Actions>(wanted: NewAsk<A>, options?: Abortable): Promise<Asked<A>>;
  wait<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Outcome<A>>;
};

export async function countersigned<A extends Actions, R>(
  agent: Asker,
  wanted: NewAsk<A>,
  run: Run<A, R>,
  { signal, store }: RunOptions | StoredRunOptions,
): Promise<Countersigned<R>> {
  const key = wanted.idempotencyKey;
  if (store && key === undefined)
    throw new InvalidArgumentError("with a store, an ask needs its idempotencyKey to be found by");
  const kept = await store?.get(key!);
  if (kept && canonicalizeArgument(kept.action) !== canonicalizeArgument(actionOf(wanted)))
    throw new InvalidArgumentError(`idempotencyKey ${key} was used to ask for another action`);
  const asked = kept
    ? { outcome: "asked" as const, ask: kept as Ask<A> }
    : await agent.ask(wanted, { signal });
  if (asked.outcome === "refused") return asked;
  // A crash before this line loses nothing: the same key leads back to the same ask.
  if (!kept) await store?.set(key!, asked.ask);

  const outcome = await agent.wait(asked.ask, { signal });
  // A crash from here to the end of `run` leaves the ask behind; taken up again, it answers `lost`.
  if (outcome.outcome !== "approved") {
    await forget(store, key);
    return outcome;
  }
  if (signal?.aborted) throw abortError(signal);
  try {
    return { outcome: "approved", result: await run(outcome.action, outcome.token, outcome) };
  } finally {
    await forget(store, key);
  }
}

/** An ask that stays behind does no harm: it is over, and says so again. What was achieved is worth more. */
async function forget(store: AskStore | undefined, key: string | undefined): Promise<void> {
  try {
    await store?.delete(key!);
  } catch {}
}
