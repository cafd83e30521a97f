/**
 * Writes the end of expired and lapsed requests, expired tokens and spends that never completed, and deletes expired
 * records. Correctness does not depend on when it runs: readers compare with the clock themselves.
 */
import { job } from "../audit/actor.ts";
import { newEntry } from "../audit/new-entry.ts";
import { expireRequest } from "../domain/request/request.ts";
import { expireToken } from "../domain/token/token.ts";
import {
  type EndingKind,
  type Kind,
  sweptKinds,
  sweptOutboxKinds,
  transientKinds,
} from "../store/record/records.ts";
import type { Outcome, Store, Versioned, Write } from "../store/store.ts";
import { traceWait } from "../tracing/tracing.ts";
import { queueCallback } from "../usecase/request/callback-writes.ts";

const batchSize = 500;
/** The size of a PostgreSQL batch. */
const chunkSize = 64;

type Work = () => Promise<Outcome>;

/** Returns the commits that end a record that is due. */
type End<K extends EndingKind> = (store: Store, found: Versioned<K>, now: number) => readonly Work[];

/** One function per kind that expires with an audit entry. */
const endings: { readonly [K in EndingKind]: End<K> } = {
  request: endRequest,
  token: endToken,
  invitation: (store, { record, version }, now) => [
    () =>
      store.commit({
        writes: [{ delete: "invitation", id: record.id, ifVersion: version }],
        entries: [newEntry("invitation.expired", now, { actor: job, approver: record.approver })],
      }),
  ],
  initial_access_token: (store, { record, version }, now) => [
    () =>
      store.commit({
        writes: [{ delete: "initial_access_token", id: record.id, ifVersion: version }],
        entries: [newEntry("initial_access_token.expired", now, { actor: job, facts: { grant: record.id } })],
      }),
  ],
};
const endingKinds = Object.keys(endings) as EndingKind[];

/** Sweeps these kinds once. Returns how many records were written. */
export async function sweep(
  store: Store,
  kinds: ReadonlySet<Kind | "log"> = new Set(sweptKinds),
): Promise<number> {
  const now = store.now();
  const due = async <K extends Kind>(kind: K) =>
    kinds.has(kind) ? await store.due(kind, now, batchSize) : [];
  const work: Work[] = [];
  for (const kind of endingKinds)
    for (const found of await due(kind)) work.push(...(endings[kind] as End<EndingKind>)(store, found, now));
  for (const kind of transientKinds)
    for (const { record, version } of await due(kind))
      work.push(() =>
        store.commitUnlogged({ writes: [{ delete: kind, id: record.id, ifVersion: version }] }),
      );
  for (const kind of sweptOutboxKinds)
    for (const { record, version } of await due(kind))
      if (record.state === "abandoned")
        work.push(() =>
          store.commitUnlogged({ writes: [{ delete: kind, id: record.id, ifVersion: version }] }),
        );
  return await forEachChunk(work);
}

/**
 * Commits the work chunk by chunk, in random order, so that nodes that sweep at the same time rarely meet. Stops once another
 * node has swept most of a chunk.
 */
async function forEachChunk(work: readonly Work[]): Promise<number> {
  const order = shuffle(Array.from({ length: Math.ceil(work.length / chunkSize) }, (_, at) => at));
  let written = 0;
  for (const at of order) {
    const chunk = work.slice(at * chunkSize, (at + 1) * chunkSize);
    // Commits of one turn of the event loop share a transaction.
    const outcomes = await Promise.all(chunk.map((run) => run()));
    const committed = outcomes.filter((outcome) => outcome === "committed").length;
    written += committed;
    if (committed < outcomes.length / 2) break;
  }
  return written;
}

/** Random order. `Math.random` is enough: the order is not security-relevant. */
function shuffle<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, rank: Math.random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

function endRequest(store: Store, { record, version }: Versioned<"request">, now: number): Work[] {
  const next = expireRequest(record, now);
  if ("refused" in next) return [];
  const { id: request, agent, digest } = record;
  const entry = newEntry(next.status.state === "lapsed" ? "request.lapsed" : "request.expired", now, {
    actor: job,
    request,
    agent,
    digest,
    facts: { candidates: [...record.candidates] },
  });
  return [
    async () => {
      const callback = record.delivery === "poll" ? [] : await queueCallback(store, record, now);
      const writes: Write[] = [{ put: "request", record: next, ifVersion: version }, ...callback];
      const outcome = await store.commit({ writes, entries: [entry] });
      if (outcome === "committed" && next.status.state === "expired")
        traceWait(record, record.expiresAt, "expired");
      return outcome;
    },
  ];
}

function endToken(store: Store, { record, version }: Versioned<"token">, now: number): Work[] {
  const next = expireToken(record, now);
  if ("refused" in next) return [];
  const { requestId: request, agent, jti: token, digest } = record;
  const entry = newEntry(next.state === "unknown" ? "token.unknown" : "token.expired", now, {
    actor: job,
    request,
    agent,
    token,
    digest,
  });
  return [
    () => store.commit({ writes: [{ put: "token", record: next, ifVersion: version }], entries: [entry] }),
  ];
}
