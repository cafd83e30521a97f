/**
 * Writes down what the clock has done: requests that expired or lapsed, tokens that expired or whose spend never
 * ended, and things that were only kept for a while. Nothing depends on it being on time: readers ask the clock.
 */
import { end as endApproval } from "../approval/approval.ts";
import { type Kind, passingKinds } from "../store/record.ts";
import type { Held, Outcome, Store, Write } from "../store/store.ts";
import { end as endToken } from "../token/token.ts";
import { announced } from "./callback.ts";
import { type Event, newEntry } from "./entry.ts";
import { traceWait } from "./trace.ts";

const batch = 500;
/** As many as a batch of PostgreSQL's holds. */
const portion = 64;
/** What was only kept for a while. Messages and callbacks have their own ends. */
const dropped = passingKinds.filter((kind) => kind !== "message" && kind !== "callback");

/** All that a round looks at. */
export const sweptKinds: readonly Kind[] = [
  ...(["approval", "token", "callback", "invitation", "registration_grant"] as const),
  ...dropped,
];

type Work = () => Promise<Outcome>;

/** One round over these kinds. Answers how many records it wrote. */
export async function sweep(
  store: Store,
  kinds: ReadonlySet<Kind | "log"> = new Set(sweptKinds),
): Promise<number> {
  const now = store.now();
  const due = async <K extends Kind>(kind: K) => (kinds.has(kind) ? await store.due(kind, now, batch) : []);
  const work: Work[] = [];
  for (const held of await due("approval")) work.push(...sweepApproval(store, held, now));
  for (const held of await due("token")) work.push(...sweepToken(store, held, now));
  for (const kind of dropped)
    for (const { record, version } of await due(kind))
      work.push(() => store.pass({ writes: [{ drop: kind, id: record.id, expect: version }] }));
  for (const { record, version } of await due("callback"))
    if (record.state === "given_up")
      work.push(() => store.pass({ writes: [{ drop: "callback", id: record.id, expect: version }] }));
  for (const { record, version } of await due("invitation"))
    work.push(() =>
      store.commit({
        writes: [{ drop: "invitation", id: record.id, expect: version }],
        entries: [newEntry("invitation.expired", now, { approver: record.approver })],
      }),
    );
  for (const { record, version } of await due("registration_grant"))
    work.push(() =>
      store.commit({
        writes: [{ drop: "registration_grant", id: record.id, expect: version }],
        entries: [newEntry("registration.expired", now, { facts: { grant: record.id } })],
      }),
    );
  return await inPortions(work);
}

/**
 * Several nodes sweep the same, and each record is swept by one. In an order of its own each has mostly others before it;
 * where it comes to what has been swept already, the rest of its round is left to whoever is ahead.
 */
async function inPortions(work: readonly Work[]): Promise<number> {
  const portions = shuffled(Array.from({ length: Math.ceil(work.length / portion) }, (_, at) => at));
  let wrote = 0;
  for (const at of portions) {
    const some = work.slice(at * portion, (at + 1) * portion);
    // What is asked for in one turn of the event loop shares a commit.
    const outcomes = await Promise.all(some.map((one) => one()));
    const committed = outcomes.filter((outcome) => outcome === "committed").length;
    wrote += committed;
    if (committed < outcomes.length / 2) break;
  }
  return wrote;
}

/** In any order: nothing here has to be guessed by nobody. */
function shuffled<T>(list: readonly T[]): readonly T[] {
  return list
    .map((one) => ({ one, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one);
}

function sweepApproval(store: Store, { record, version }: Held<"approval">, now: number): Work[] {
  const next = endApproval(record, now);
  if ("refused" in next) return [];
  const { id: request, agent, digest } = record;
  const entry = newEntry(`request.${next.standing.state}` as Event, now, {
    request,
    agent,
    digest,
    facts: { candidates: [...record.candidates] },
  });
  return [
    async () => {
      const callback = await announced(store, record, now);
      const writes: Write[] = [{ put: "approval", record: next, expect: version }, ...callback];
      const outcome = await store.commit({ writes, entries: [entry] });
      if (outcome === "committed" && next.standing.state === "expired")
        traceWait(record, record.expiresAt, "expired");
      return outcome;
    },
  ];
}

function sweepToken(store: Store, { record, version }: Held<"token">, now: number): Work[] {
  const next = endToken(record, now);
  if ("refused" in next) return [];
  const { approval: request, agent, jti: token, digest } = record;
  const entry = newEntry(`token.${next.state}` as Event, now, { request, agent, token, digest });
  return [
    () => store.commit({ writes: [{ put: "token", record: next, expect: version }], entries: [entry] }),
  ];
}
