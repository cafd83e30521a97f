/**
 * Writes down what the clock has done: requests that expired or lapsed, tokens that expired or whose spend never
 * ended, and things that were only kept for a while. Nothing depends on it being on time: readers ask the clock.
 */

import { newEntry } from "../audit/new-entry.ts";
import { expireRequest as endApproval } from "../domain/request/request.ts";
import { expireToken as endToken } from "../domain/token/token.ts";
import { type Kind, unloggedKinds } from "../store/record.ts";
import type { Outcome, Store, Versioned, Write } from "../store/store.ts";
import { traceWait } from "../tracing/tracing.ts";
import { queueCallback } from "../usecase/request/callback-writes.ts";

const batchSize = 500;
/** As many as a batch of PostgreSQL's holds. */
const chunkSize = 64;
/** What was only kept for a while. Messages and callbacks have their own ends. */
const transientKinds = unloggedKinds.filter((kind) => kind !== "message" && kind !== "callback");

/** All that a round looks at. */
export const expiringKinds: readonly Kind[] = [
  ...(["request", "token", "callback", "invitation", "initial_access_token"] as const),
  ...transientKinds,
];

type Work = () => Promise<Outcome>;

/** One round over these kinds. Answers how many records it wrote. */
export async function sweep(
  store: Store,
  kinds: ReadonlySet<Kind | "log"> = new Set(expiringKinds),
): Promise<number> {
  const now = store.now();
  const due = async <K extends Kind>(kind: K) =>
    kinds.has(kind) ? await store.due(kind, now, batchSize) : [];
  const work: Work[] = [];
  for (const found of await due("request")) work.push(...sweepRequest(store, found, now));
  for (const found of await due("token")) work.push(...sweepToken(store, found, now));
  for (const kind of transientKinds)
    for (const { record, version } of await due(kind))
      work.push(() =>
        store.commitUnlogged({ writes: [{ delete: kind, id: record.id, ifVersion: version }] }),
      );
  for (const { record, version } of await due("callback"))
    if (record.state === "given_up")
      work.push(() =>
        store.commitUnlogged({ writes: [{ delete: "callback", id: record.id, ifVersion: version }] }),
      );
  for (const { record, version } of await due("invitation"))
    work.push(() =>
      store.commit({
        writes: [{ delete: "invitation", id: record.id, ifVersion: version }],
        entries: [newEntry("invitation.expired", now, { approver: record.approver })],
      }),
    );
  for (const { record, version } of await due("initial_access_token"))
    work.push(() =>
      store.commit({
        writes: [{ delete: "initial_access_token", id: record.id, ifVersion: version }],
        entries: [newEntry("initial_access_token.expired", now, { facts: { grant: record.id } })],
      }),
    );
  return await forEachChunk(work);
}

/**
 * Several nodes sweep the same, and each record is swept by one. In an order of its own each has mostly others before it;
 * where it comes to what has been swept already, the rest of its round is left to whoever is ahead.
 */
async function forEachChunk(work: readonly Work[]): Promise<number> {
  const portions = shuffle(Array.from({ length: Math.ceil(work.length / chunkSize) }, (_, at) => at));
  let wrote = 0;
  for (const at of portions) {
    const some = work.slice(at * chunkSize, (at + 1) * chunkSize);
    // What is asked for in one turn of the event loop shares a commit.
    const outcomes = await Promise.all(some.map((one) => one()));
    const committed = outcomes.filter((outcome) => outcome === "committed").length;
    wrote += committed;
    if (committed < outcomes.length / 2) break;
  }
  return wrote;
}

/** In any order: nothing here has to be guessed by nobody. */
function shuffle<T>(list: readonly T[]): readonly T[] {
  return list
    .map((one) => ({ one, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one);
}

function sweepRequest(store: Store, { record, version }: Versioned<"request">, now: number): Work[] {
  const next = endApproval(record, now);
  if ("refused" in next) return [];
  const { id: request, agent, digest } = record;
  const entry = newEntry(next.status.state === "lapsed" ? "request.lapsed" : "request.expired", now, {
    request,
    agent,
    digest,
    facts: { candidates: [...record.candidates] },
  });
  return [
    async () => {
      const callback = await queueCallback(store, record, now);
      const writes: Write[] = [{ put: "request", record: next, ifVersion: version }, ...callback];
      const outcome = await store.commit({ writes, entries: [entry] });
      if (outcome === "committed" && next.status.state === "expired")
        traceWait(record, record.expiresAt, "expired");
      return outcome;
    },
  ];
}

function sweepToken(store: Store, { record, version }: Versioned<"token">, now: number): Work[] {
  const next = endToken(record, now);
  if ("refused" in next) return [];
  const { requestId: request, agent, jti: token, digest } = record;
  const entry = newEntry(next.state === "unknown" ? "token.unknown" : "token.expired", now, {
    request,
    agent,
    token,
    digest,
  });
  return [
    () => store.commit({ writes: [{ put: "token", record: next, ifVersion: version }], entries: [entry] }),
  ];
}
