/**
 * Runs one benchmark on several servers in turn, round after round, so that other load on the machine affects all of them. The
 * result is the ratio within each round; its spread shows the disturbance.
 */

import type { CpuCost } from "./load.ts";
import { formatRange, quantile, rangeOf, table, whole } from "./stats.ts";
import type { Flow, Method, Target } from "./target.ts";

export type Comparison = {
  /** Unit of the result. */
  readonly of: string;
  readonly methods: readonly Method[];
  /** Operations in each round. */
  readonly count: number;
  /** Runs the benchmark on one server. Returns undefined if it is not supported there. */
  readonly measure: (party: Target, flows: readonly Flow[]) => Promise<CpuCost> | undefined;
};

/** Warm-up rounds, which do not count: newly loaded code is not compiled yet. */
const warmUps = 3;
/** Factor for the length of rounds. */
const scale = Number(process.env.BENCH_SCALE ?? 1);

const methodNames: Record<Method, string> = {
  secret: "client_secret_basic",
  key: "private_key_jwt + DPoP",
};

export const duelHead = ["", "server", "a second", "a CPU second", "p99 ms", "ours ÷ this", "per CPU second"];

export async function duel(
  { of, methods, count, measure }: Comparison,
  parties: readonly Target[],
  rounds: number,
): Promise<string[][]> {
  const rows: string[][] = [];
  for (const method of methods) {
    const efforts = new Map<Target, CpuCost[]>(parties.map((party) => [party, []]));
    for (let round = 1 - warmUps; round <= rounds; round += 1)
      for (const party of round % 2 === 0 ? parties : parties.toReversed()) {
        const effort = await measure(party, await party.flows(Math.ceil(count * scale), method));
        if (effort && round > 0) efforts.get(party)?.push(effort);
      }
    const ours = efforts.get(parties[0]!) ?? [];
    for (const [{ name }, theirs] of efforts) {
      if (theirs.length === 0) continue;
      const ratio = (rate: (effort: CpuCost) => number) =>
        theirs === ours
          ? ""
          : formatRange(rangeOf(ours.map((effort, round) => rate(effort) / rate(theirs[round]!))));
      rows.push([
        name === parties[0]!.name ? `${of}, ${methodNames[method]}` : "",
        name,
        whole(rangeOf(theirs.map(({ rate }) => rate)).median),
        whole(rangeOf(theirs.map(({ cpuRate }) => cpuRate)).median),
        rangeOf(theirs.map(({ latencies }) => p99(latencies))).median.toFixed(1),
        ratio(({ rate }) => rate),
        ratio(({ cpuRate }) => cpuRate),
      ]);
    }
  }
  return rows;
}

const p99 = (list: readonly number[]) => quantile(list, 0.99);

export const duelTable = (rows: readonly (readonly string[])[]) => table(duelHead, rows);
