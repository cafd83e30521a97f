/**
 * Runs one benchmark on several servers in turn, round after round, so that other load on the machine affects all of them. The
 * result is the ratio within each round; its spread shows the disturbance.
 */

import type { CpuCost } from "./load.ts";
import { computeRange, formatInteger, formatRange, formatTable, quantile } from "./stats.ts";
import type { Flow, Method, Target } from "./target.ts";

export type Comparison = {
  /** Unit of the result. */
  readonly of: string;
  readonly methods: readonly Method[];
  /** Operations in each round. */
  readonly count: number;
  /** Runs the benchmark on one server. Returns undefined if it is not supported there. */
  readonly measure: (target: Target, flows: readonly Flow[]) => Promise<CpuCost> | undefined;
};

/** Warm-up rounds, which do not count: newly loaded code is not compiled yet. */
const warmUps = 3;
/** Factor for the length of rounds. */
const scale = Number(process.env.BENCH_SCALE ?? 1);

const methodNames: Record<Method, string> = {
  secret: "client_secret_basic",
  key: "private_key_jwt + DPoP",
};

export const comparisonHead = [
  "",
  "server",
  "a second",
  "a CPU second",
  "p99 ms",
  "ours ÷ this",
  "per CPU second",
];

export async function compare(
  { of, methods, count, measure }: Comparison,
  targets: readonly Target[],
  rounds: number,
): Promise<string[][]> {
  const rows: string[][] = [];
  for (const method of methods) {
    const costs = new Map<Target, CpuCost[]>(targets.map((target) => [target, []]));
    for (let round = 1 - warmUps; round <= rounds; round += 1)
      for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
        const cost = await measure(target, await target.flows(Math.ceil(count * scale), method));
        if (cost && round > 0) costs.get(target)?.push(cost);
      }
    const ours = costs.get(targets[0]!) ?? [];
    for (const [{ name }, theirs] of costs) {
      if (theirs.length === 0) continue;
      const ratio = (rate: (cost: CpuCost) => number) =>
        theirs === ours
          ? ""
          : formatRange(computeRange(ours.map((cost, round) => rate(cost) / rate(theirs[round]!))));
      rows.push([
        name === targets[0]!.name ? `${of}, ${methodNames[method]}` : "",
        name,
        formatInteger(computeRange(theirs.map(({ rate }) => rate)).median),
        formatInteger(computeRange(theirs.map(({ cpuRate }) => cpuRate)).median),
        computeRange(theirs.map(({ latencies }) => p99(latencies))).median.toFixed(1),
        ratio(({ rate }) => rate),
        ratio(({ cpuRate }) => cpuRate),
      ]);
    }
  }
  return rows;
}

const p99 = (list: readonly number[]) => quantile(list, 0.99);

export const formatComparison = (rows: readonly (readonly string[])[]) => formatTable(comparisonHead, rows);
