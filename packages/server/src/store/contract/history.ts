/**
 * Random histories of guarded writes, checked against a model. In each round two handles write concurrently; some
 * interleaving of their changes must explain exactly the outcomes returned and the records stored.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { Change, Outcome, Store, Write } from "../store.ts";
import type { ContractCase } from "./contract-case.ts";
import { anAgent, anEntry, aReplay, uniqueId } from "./fixture.ts";

/** The records of a history: two logged, two unlogged. */
const slots = ["agent", "agent", "replay", "replay"] as const;

/** Content of a slot: its version, and a number that identifies its record. */
type Cell = { readonly version: number; readonly mark: number };
type State = readonly Cell[];
const empty: State = slots.map(() => ({ version: 0, mark: 0 }));

type Step = {
  readonly slot: number;
  readonly act: "put" | "delete" | "check";
  /** Offset of the expected version from the version at the start of the round. */
  readonly versionOffset: number;
  readonly mark: number;
};
type PlannedChange = { readonly steps: readonly Step[]; readonly expired: boolean };
type Round = readonly [readonly PlannedChange[], readonly PlannedChange[]];

const step: fc.Arbitrary<Step> = fc.record({
  slot: fc.nat(slots.length - 1),
  act: fc.constantFrom("put", "put", "put", "delete", "check"),
  versionOffset: fc.constantFrom(0, 0, 0, 0, 1, 1, 2, -1),
  mark: fc.integer({ min: 1, max: 1_000_000 }),
});
const planned: fc.Arbitrary<PlannedChange> = fc.record({
  steps: fc.uniqueArray(step, { minLength: 1, maxLength: 3, selector: ({ slot }) => slot }),
  expired: fc.constantFrom(false, false, false, false, false, true),
});
const side = fc.array(planned, { maxLength: 4 });
const history: fc.Arbitrary<readonly Round[]> = fc.array(fc.tuple(side, side), {
  minLength: 1,
  maxLength: 8,
});

export function historyContract(contractCase: ContractCase): void {
  contractCase("explains every history of two handles by some interleaving", ({ store, reopen }) =>
    checkHistories(store, reopen),
  );
}

/** Throws with the smallest history that no interleaving explains. */
async function checkHistories(store: Store, reopen: () => Promise<Store>): Promise<void> {
  const other = await reopen();
  const long = process.env.COUNTERSIGN_LONG === "1";
  await fc.assert(
    fc.asyncProperty(history, (rounds) => runHistory(store, other, rounds)),
    long ? { numRuns: 1_000 } : { numRuns: 40, seed: 20_260_115 },
  );
}

async function runHistory(store: Store, other: Store, rounds: readonly Round[]): Promise<void> {
  const ids = slots.map((kind) => uniqueId(kind));
  let state = empty;
  for (const [mine, theirs] of rounds) {
    const [a, b] = [mine, theirs].map((side) => side.map((plan) => prepare(plan, state, ids))) as [
      PreparedChange[],
      PreparedChange[],
    ];
    const outcomes = await Promise.all([
      Promise.all(a.map((made) => made.submit(store))),
      Promise.all(b.map((made) => made.submit(other))),
    ]);
    const next = await stateOf(store, ids);
    assert.deepEqual(await stateOf(other, ids), next, "both handles read the same");
    assert.ok(
      isLinearizable(state, next, { made: a, outcomes: outcomes[0] }, { made: b, outcomes: outcomes[1] }),
      `no order of these changes explains ${JSON.stringify({ state, mine, theirs, outcomes, next })}`,
    );
    await checkEntries(store, [...a, ...b], outcomes.flat());
    state = next;
  }
}

type PreparedChange = {
  readonly plan: PlannedChange;
  /** The expected version of each step. */
  readonly ifVersions: readonly number[];
  readonly entryId: string | undefined;
  submit(store: Store): Promise<Outcome>;
};

function prepare(plan: PlannedChange, state: State, ids: readonly string[]): PreparedChange {
  const ifVersions = plan.steps.map(({ slot, versionOffset }) =>
    Math.max(0, state[slot]!.version + versionOffset),
  );
  const writes = plan.steps.map((one, n) => writeOf(one, ifVersions[n]!, ids[one.slot]!));
  const unlogged = plan.steps.every(({ slot }) => slots[slot] === "replay");
  const entry = anEntry();
  return {
    plan,
    ifVersions,
    entryId: unlogged ? undefined : entry.entry.id,
    submit: (store) => {
      const guard: Pick<Change, "notOnOrAfter"> = plan.expired ? { notOnOrAfter: store.now() } : {};
      if (unlogged) return store.commitUnlogged({ ...guard, writes: writes as Write<"replay">[] });
      return store.commit({ ...guard, writes, entries: [entry] });
    },
  };
}

function writeOf({ slot, act, mark }: Step, ifVersion: number, id: string): Write {
  if (slots[slot] === "agent") {
    if (act === "put") return { put: "agent", record: anAgent({ id, createdAt: mark }), ifVersion };
    return act === "delete" ? { delete: "agent", id, ifVersion } : { check: "agent", id, ifVersion };
  }
  if (act === "put") return { put: "replay", record: aReplay({ id, expiresAt: mark }), ifVersion };
  return act === "delete" ? { delete: "replay", id, ifVersion } : { check: "replay", id, ifVersion };
}

async function stateOf(store: Store, ids: readonly string[]): Promise<State> {
  return Promise.all(
    slots.map(async (kind, slot) => {
      const found = await store.read(kind, ids[slot]!);
      if (!found) return { version: 0, mark: 0 };
      const { record, version } = found;
      return { version, mark: "createdAt" in record ? record.createdAt : record.expiresAt };
    }),
  );
}

async function checkEntries(
  store: Store,
  made: readonly PreparedChange[],
  outcomes: readonly Outcome[],
): Promise<void> {
  for (const [n, { entryId }] of made.entries())
    if (entryId) assert.equal(await store.log.hasEntry(entryId), outcomes[n] === "committed");
}

type Side = { readonly made: readonly PreparedChange[]; readonly outcomes: readonly Outcome[] };

/** Returns true if some interleaving of both sides leads from one state to the other with these outcomes. */
function isLinearizable(from: State, to: State, a: Side, b: Side, i = 0, j = 0): boolean {
  if (i === a.made.length && j === b.made.length)
    return from.every((cell, n) => cell.version === to[n]!.version && cell.mark === to[n]!.mark);
  const tryNext = (side: Side, n: number, go: (next: State) => boolean): boolean => {
    const made = side.made[n];
    if (!made) return false;
    const next = applyToModel(from, made);
    return (next === undefined) === (side.outcomes[n] === "conflict") && go(next ?? from);
  };
  return (
    tryNext(a, i, (next) => isLinearizable(next, to, a, b, i + 1, j)) ||
    tryNext(b, j, (next) => isLinearizable(next, to, a, b, i, j + 1))
  );
}

/** Returns the next state of the model, or undefined for a conflict. */
function applyToModel(state: State, { plan, ifVersions }: PreparedChange): State | undefined {
  if (plan.expired || plan.steps.some(({ slot }, n) => state[slot]!.version !== ifVersions[n]))
    return undefined;
  const next = [...state];
  for (const [n, { slot, act, mark }] of plan.steps.entries()) {
    if (act === "put") next[slot] = { version: ifVersions[n]! + 1, mark };
    if (act === "delete") next[slot] = { version: 0, mark: 0 };
  }
  return next;
}
