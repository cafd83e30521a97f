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
import { type Comparison, duel, duelTable } from "./harness/comparison.ts";
import { startCountersign } from "./harness/countersign.ts";
import { placing } from "./harness/process.ts";
import { bareSignatures } from "./harness/signature.ts";
import { whole } from "./harness/stats.ts";
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
const duels: Readonly<Record<string, Comparison>> = {
  "pending-poll": pendingPoll,
  ask,
  decide,
  redeem,
  spend,
  flow,
  "flow-to-token": flowToToken,
};
/** Benchmarks that print their own tables. */
const alone: Readonly<Record<string, () => Promise<void>>> = {
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

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in duels) && !(name in alone));
if (unknown !== undefined) {
  console.error(
    `unknown benchmark "${unknown}"; available: ${Object.keys({ ...duels, ...alone }).join(", ")}`,
  );
  process.exit(2);
}
const asks = (name: string) => (wanted.length === 0 && !long.includes(name)) || wanted.includes(name);

console.log(
  `Node ${process.version}; ${cpus()[0]?.model.trim()}, ${cpus().length} of them; ${placing}; ${rounds} rounds in turns, median (least–most)\n`,
);
const chosen = Object.entries(duels).filter(([name]) => asks(name));
if (chosen.length > 0) {
  const parties = [await startCountersign(), await startOidcProvider(), await startBare()];
  try {
    for (const [, question] of chosen) {
      console.log(duelTable(await duel(question, parties, rounds)));
      console.log(`bare ES256 signatures a CPU second: ${whole(bareSignatures())}\n`);
    }
  } finally {
    await Promise.all(parties.map((party) => party.close()));
  }
}
for (const [name, question] of Object.entries(alone)) if (asks(name)) await question();
