/**
 * Runs the benchmarks of this directory and prints tables. `node bench/run.ts` compares the main operations with `oidc-provider`
 * and a bare `node:http` server; `node bench/run.ts NAME…` runs only some. BENCH_ROUNDS is the number of rounds, BENCH_SCALE
 * their length. It asserts nothing about speed.
 */
import { cpus } from "node:os";
import { ask } from "./ask.ts";
import { coldStart } from "./cold-start.ts";
import { decide } from "./decide.ts";
import { flow, flowToToken } from "./flow.ts";
import { startBare, startOidcProvider } from "./harness/baseline.ts";
import { type Comparison, compare, formatComparison } from "./harness/comparison.ts";
import { startCountersign } from "./harness/countersign.ts";
import { placement } from "./harness/process.ts";
import { bareSignatures } from "./harness/signature.ts";
import { formatInteger } from "./harness/stats.ts";
import { memory } from "./memory.ts";
import { million } from "./million.ts";
import { nodes } from "./nodes.ts";
import { outbox } from "./outbox.ts";
import { pendingPoll } from "./pending-poll.ts";
import { redeem } from "./redeem.ts";
import { sequence } from "./sequence.ts";
import { spend } from "./spend.ts";
import { verifierCheck } from "./verifier-check.ts";
import { wakeUp } from "./wake-up.ts";

const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const comparisons: Readonly<Record<string, Comparison>> = {
  "pending-poll": pendingPoll,
  ask,
  decide,
  redeem,
  spend,
  flow,
  "flow-to-token": flowToToken,
};
/** Benchmarks that print their own tables. */
const standalone: Readonly<Record<string, () => Promise<void>>> = {
  "wake-up": wakeUp,
  "verifier-check": verifierCheck,
  "cold-start": coldStart,
  memory,
  million,
  nodes,
  outbox,
  sequence,
};
/** Benchmarks that run only if named. */
const long = ["million", "nodes", "outbox", "sequence"];

const named = process.argv.slice(2);
const unknown = named.find((name) => !(name in comparisons) && !(name in standalone));
if (unknown !== undefined) {
  console.error(
    `unknown benchmark "${unknown}"; available: ${Object.keys({ ...comparisons, ...standalone }).join(", ")}`,
  );
  process.exit(2);
}
const isSelected = (name: string) => (named.length === 0 && !long.includes(name)) || named.includes(name);

console.log(
  `Node ${process.version}; ${cpus()[0]?.model.trim()}, ${cpus().length} of them; ${placement}; ${rounds} rounds in turns, median (least–most)\n`,
);
const selected = Object.entries(comparisons).filter(([name]) => isSelected(name));
if (selected.length > 0) {
  const targets = [await startCountersign(), await startOidcProvider(), await startBare()];
  try {
    for (const [, benchmark] of selected) {
      console.log(formatComparison(await compare(benchmark, targets, rounds)));
      console.log(`bare ES256 signatures a CPU second: ${formatInteger(bareSignatures())}\n`);
    }
  } finally {
    await Promise.all(targets.map((target) => target.close()));
  }
}
for (const [name, benchmark] of Object.entries(standalone)) if (isSelected(name)) await benchmark();
