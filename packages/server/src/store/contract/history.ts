/**
 * Random histories of guarded writes, checked against a model. In each round two handles write at the same time; some
 * order of their changes, which keeps the order of each handle, must give exactly the outcomes that were answered and
 * the records that are there afterwards. Made for tests alone.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { Change, Outcome, Store, Write } from "../store.ts";
import type { Rule } from "./rule.ts";
import { anAgent, anEntry, aReplay, freshId } from "./specimen.ts";

/** Four records that all changes are about: two that need a log entry, two that may be written without one. */
const slots = ["agent", "agent", "replay", "replay"] as const;

/** What one slot holds: the version, and the number by which its record is told from others. */
type Cell = { readonly version: number; readonly mark: number };
type State = readonly Cell[];
const empty: State = slots.map(() => ({ version: 0, mark: 0 }));

type Step = {
  readonly slot: number;
  readonly act: "put" | "drop" | "check";
  /** How far what the writer expects is from the version that was there when the round began. */
  readonly drift: number;
  readonly mark: number;
};
type Planned = { readonly steps: readonly Step[]; readonly late: boolean };
type Round = readonly [readonly Planned[], readonly Planned[]];

const step: fc.Arbitrary<Step> = fc.record({
  slot: fc.nat(slots.length - 1),
  act: fc.constantFrom("put", "put", "put", "drop", "check"),
  drift: fc.constantFrom(0, 0, 0, 0, 1, 1, 2, -1),
  mark: fc.integer({ min: 1, max: 1_000_000 }),
});
const planned: fc.Arbitrary<Planned> = fc.record({
  steps: fc.uniqueArray(step, { minLength: 1, maxLength: 3, selector: ({ slot }) => slot }),
  late: fc.constantFrom(false, false, false, false, false, true),
});
const side = fc.array(planned, { maxLength: 4 });
const history: fc.Arbitrary<readonly Round[]> = fc.array(fc.tuple(side, side), {
  minLength: 1,
  maxLength: 8,
});

export function histories(rule: Rule): void {
  rule("some order of their changes explains every history of two handles", ({ store, reopen }) =>
    checkHistories(store, reopen),
  );
}

/** Throws with the smallest history found that no order explains. */
async function checkHistories(store: Store, reopen: () => Promise<Store>): Promise<void> {
  const other = await reopen();
  const long = process.env.COUNTERSIGN_LONG === "1";
  await fc.assert(
    fc.asyncProperty(history, (rounds) => play(store, other, rounds)),
    long ? { numRuns: 1_000 } : { numRuns: 40, seed: 20_260_115 },
  );
}

async function play(store: Store, other: Store, rounds: readonly Round[]): Promise<void> {
  const ids = slots.map((kind) => freshId(kind));
  let state = empty;
  for (const [mine, theirs] of rounds) {
    const [a, b] = [mine, theirs].map((side) => side.map((plan) => prepare(plan, state, ids))) as [
      Made[],
      Made[],
    ];
    const outcomes = await Promise.all([
      Promise.all(a.map((made) => made.submit(store))),
      Promise.all(b.map((made) => made.submit(other))),
    ]);
    const next = await stateOf(store, ids);
    assert.deepEqual(await stateOf(other, ids), next, "both handles read the same");
    assert.ok(
      explained(state, next, { made: a, outcomes: outcomes[0] }, { made: b, outcomes: outcomes[1] }),
      `no order of these changes explains ${JSON.stringify({ state, mine, theirs, outcomes, next })}`,
    );
    await checkEntries(store, [...a, ...b], outcomes.flat());
    state = next;
  }
}

type Made = {
  readonly plan: Planned;
  /** The version that each step expects. */
  readonly expects: readonly number[];
  readonly entryId: string | undefined;
  submit(store: Store): Promise<Outcome>;
};

function prepare(plan: Planned, state: State, ids: readonly string[]): Made {
  const expects = plan.steps.map(({ slot, drift }) => Math.max(0, state[slot]!.version + drift));
  const writes = plan.steps.map((one, n) => writeOf(one, expects[n]!, ids[one.slot]!));
  const passing = plan.steps.every(({ slot }) => slots[slot] === "replay");
  const entry = anEntry();
  return {
    plan,
    expects,
    entryId: passing ? undefined : entry.entry.id,
    submit: (store) => {
      const guard: Pick<Change, "before"> = plan.late ? { before: store.now() } : {};
      if (passing) return store.pass({ ...guard, writes: writes as Write<"replay">[] });
      return store.commit({ ...guard, writes, entries: [entry] });
    },
  };
}

function writeOf({ slot, act, mark }: Step, expect: number, id: string): Write {
  if (slots[slot] === "agent") {
    if (act === "put") return { put: "agent", record: anAgent({ id, createdAt: mark }), expect };
    return act === "drop" ? { drop: "agent", id, expect } : { check: "agent", id, expect };
  }
  if (act === "put") return { put: "replay", record: aReplay({ id, expiresAt: mark }), expect };
  return act === "drop" ? { drop: "replay", id, expect } : { check: "replay", id, expect };
}

async function stateOf(store: Store, ids: readonly string[]): Promise<State> {
  return Promise.all(
    slots.map(async (kind, slot) => {
      const held = await store.read(kind, ids[slot]!);
      if (!held) return { version: 0, mark: 0 };
      const { record, version } = held;
      return { version, mark: "createdAt" in record ? record.createdAt : record.expiresAt };
    }),
  );
}

async function checkEntries(
  store: Store,
  made: readonly Made[],
  outcomes: readonly Outcome[],
): Promise<void> {
  for (const [n, { entryId }] of made.entries())
    if (entryId) assert.equal(await store.log.holds(entryId), outcomes[n] === "committed");
}

type Side = { readonly made: readonly Made[]; readonly outcomes: readonly Outcome[] };

/** True if some interleaving of both sides leads from one state to the other with just these outcomes. */
function explained(from: State, to: State, a: Side, b: Side, i = 0, j = 0): boolean {
  if (i === a.made.length && j === b.made.length)
    return from.every((cell, n) => cell.version === to[n]!.version && cell.mark === to[n]!.mark);
  const onward = (side: Side, n: number, go: (next: State) => boolean): boolean => {
    const made = side.made[n];
    if (!made) return false;
    const next = applied(from, made);
    return (next === undefined) === (side.outcomes[n] === "conflict") && go(next ?? from);
  };
  return (
    onward(a, i, (next) => explained(next, to, a, b, i + 1, j)) ||
    onward(b, j, (next) => explained(next, to, a, b, i, j + 1))
  );
}

/** The model: the next state, or undefined for a conflict. */
function applied(state: State, { plan, expects }: Made): State | undefined {
  if (plan.late || plan.steps.some(({ slot }, n) => state[slot]!.version !== expects[n])) return undefined;
  const next = [...state];
  for (const [n, { slot, act, mark }] of plan.steps.entries()) {
    if (act === "put") next[slot] = { version: expects[n]! + 1, mark };
    if (act === "drop") next[slot] = { version: 0, mark: 0 };
  }
  return next;
}
