/**
 * Measures the cost of a complete flow over PostgreSQL with one, two and three nodes: CPU time of the nodes and of the database,
 * statements, commits and bytes. Whichever is saturated first limits the useful number of nodes. Each flow is requested on one
 * node, polled once on the next, and decided, redeemed and spent on the one after that.
 */

import { spent } from "./flow.ts";
import { type Countersign, startCountersign } from "./harness/countersign.ts";
import { type Cost, calls, type Database, startDatabase } from "./harness/database.ts";
import { cpuSeconds, once, runScript, type Script } from "./harness/load.ts";
import type { Running } from "./harness/process.ts";
import { formatRange, rangeOf, table, whole } from "./harness/stats.ts";
import { type Flow, ticketIn } from "./harness/target.ts";

/** The first configuration is repeated at the end, to show how much the machine has changed. */
const counts = [1, 2, 3, 1];
const rounds = Number(process.env.BENCH_ROUNDS ?? 3);
const scale = Number(process.env.BENCH_SCALE ?? 1);
const flowsEach = Math.ceil(300 * scale);
/** Connections in total, over all nodes. */
const width = 48;
const idleMs = 5_000;

/** Cost of a piece of work, over all nodes. */
type CpuCost = { readonly seconds: number; readonly nodeCpu: number; readonly cost: Cost };
type Round = { readonly ask: CpuCost; readonly poll: CpuCost; readonly rest: CpuCost };

export async function nodes(): Promise<void> {
  const database = await startDatabase();
  const server = await startCountersign(database.url);
  const extra: Running[] = [];
  const [flowRows, stepRows]: [string[][], string[][]] = [[], []];
  const costs: (Each & { readonly count: number })[] = [];
  try {
    const before = await database.sizes();
    let made = 0;
    for (const count of counts) {
      while (extra.length + 1 < count) extra.push(await server.join());
      for (const one of extra.splice(count - 1)) await one.close();
      const all = [server, ...extra];
      // Warm-up: newly loaded code is not compiled yet.
      for (let round = 0; round < 2; round += 1) await played(database, server, all);
      const seen: Round[] = [];
      for (let round = 0; round < rounds; round += 1) seen.push(await played(database, server, all));
      made += (rounds + 2) * flowsEach;
      const idle = await effort(database, all, () => new Promise((resolve) => setTimeout(resolve, idleMs)));
      flowRows.push(flowRow(count, seen, idle));
      costs.push({ count, ...each(count, seen, idle) });
      stepRows.push(...stepRowsOf(count, seen, idle));
    }
    const after = await database.sizes();
    console.log(`\n${table(flowHead, flowRows)}`);
    console.log(`\n${table(stepHead, stepRows)}`);
    console.log(`\n${sizesTable(before, after, made)}`);
    console.log(`\n${limit(costs)}`);
  } finally {
    await Promise.all([...extra, server].map((one) => one.close()));
    await database.discard();
  }
}

async function played(database: Database, server: Countersign, all: readonly Running[]): Promise<Round> {
  const flows = await server.flows(flowsEach * all.length, "secret");
  const tickets: string[] = [];
  /** Each node gets a share of the flows; in the next step, the share of another node. */
  const across = (step: number, script: (flow: Flow, at: number) => Script) =>
    effort(database, all, () =>
      Promise.all(
        all.map((node, n) =>
          runScript(
            node,
            flows.flatMap((flow, at) => ((at + step) % all.length === n ? script(flow, at) : [])),
            Math.floor(width / all.length),
          ),
        ),
      ),
    );
  const ask = await across(0, (flow, at) =>
    once(flow.ask, 200, (answer) => {
      tickets[at] = ticketIn(answer);
    }),
  );
  await server.learn(tickets);
  const poll = await across(1, (flow, at) => once(flow.poll(tickets[at]!), 400));
  const rest = await across(2, (flow, at) => spent(flow, tickets[at]!));
  return { ask, poll, rest };
}

async function effort(
  database: Database,
  all: readonly Running[],
  work: () => Promise<unknown>,
): Promise<CpuCost> {
  const spentSoFar = () => all.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const before = spentSoFar();
  let seconds = 0;
  const cost = await database.metered(async () => {
    const begun = performance.now();
    await work();
    seconds = (performance.now() - begun) / 1000;
  });
  return { seconds, nodeCpu: spentSoFar() - before, cost };
}

const flowHead = [
  "nodes",
  "flows a second",
  "node CPU, ms a flow",
  "PostgreSQL CPU, ms a flow",
  "cores busy: nodes",
  "PostgreSQL",
  "statements a flow",
  "commits a flow",
  "WAL a flow",
];

const sum = (list: readonly number[]) => list.reduce((total, one) => total + one, 0);

/** Returns CPU seconds per flow, without the background jobs. */
type Each = { readonly node: number; readonly database: number };

function each(count: number, seen: readonly Round[], idle: CpuCost): Each {
  const of = (figure: (effort: CpuCost) => number) => rangeOf(perFlow(count, seen, idle, figure)).median;
  return { node: of(({ nodeCpu }) => nodeCpu), database: of(({ cost }) => cost.cpuSeconds) };
}

function perFlow(
  count: number,
  seen: readonly Round[],
  idle: CpuCost,
  figure: (effort: CpuCost) => number,
): number[] {
  return seen.map(({ ask, rest }) => {
    const idled = (figure(idle) / idle.seconds) * (ask.seconds + rest.seconds);
    return Math.max(0, figure(ask) + figure(rest) - idled) / (flowsEach * count);
  });
}

/** Returns the conclusion, independent of this machine's load. */
function limit(costs: readonly (Each & { readonly count: number })[]): string {
  const lines = costs.map(({ count, node, database }) => {
    const said = count === 1 ? "on one node" : `on ${count} nodes`;
    return `${said}: a core of nodes is full at ${whole(1 / node)} flows a second, one of PostgreSQL at ${whole(1 / database)}, so that ${(node / database).toFixed(1)} cores of nodes fill one of PostgreSQL`;
  });
  return lines.join("\n");
}

function flowRow(count: number, seen: readonly Round[], idle: CpuCost): string[] {
  const flows = flowsEach * count;
  const of = (figure: (effort: CpuCost) => number) => perFlow(count, seen, idle, figure);
  const seconds = seen.map(({ ask, rest }) => ask.seconds + rest.seconds);
  const busy = (figure: (effort: CpuCost) => number) =>
    formatRange(rangeOf(seen.map(({ ask, rest }, at) => (figure(ask) + figure(rest)) / seconds[at]!)));
  const median = (list: readonly number[]) => rangeOf(list).median;
  return [
    String(count),
    formatRange(rangeOf(seconds.map((one) => flows / one)), whole),
    formatRange(rangeOf(of(({ nodeCpu }) => nodeCpu * 1000))),
    formatRange(rangeOf(of(({ cost }) => cost.cpuSeconds * 1000))),
    busy(({ nodeCpu }) => nodeCpu),
    busy(({ cost }) => cost.cpuSeconds),
    median(of(({ cost }) => calls(cost))).toFixed(1),
    median(of(({ cost }) => calls(cost, /^COMMIT/))).toFixed(2),
    `${(median(of(({ cost }) => cost.walBytes)) / 1024).toFixed(1)} KB`,
  ];
}

const stepHead = ["nodes", "step", "node CPU, ms", "PostgreSQL CPU, ms", "statements", "reads", "commits"];

function stepRowsOf(count: number, seen: readonly Round[], idle: CpuCost): string[][] {
  const row = (step: string, efforts: readonly CpuCost[], each: number) => {
    const per = (figure: (effort: CpuCost) => number) => sum(efforts.map(figure)) / (efforts.length * each);
    return [
      String(count),
      step,
      per(({ nodeCpu }) => nodeCpu * 1000).toFixed(2),
      per(({ cost }) => cost.cpuSeconds * 1000).toFixed(2),
      per(({ cost }) => calls(cost)).toFixed(2),
      per(({ cost }) => calls(cost, /^SELECT (held\.version|version, body|agent|body)/)).toFixed(2),
      per(({ cost }) => calls(cost, /^COMMIT/)).toFixed(2),
    ];
  };
  const flows = flowsEach * count;
  return [
    row(
      "ask",
      seen.map(({ ask }) => ask),
      flows,
    ),
    row(
      "pending poll",
      seen.map(({ poll }) => poll),
      flows,
    ),
    row(
      "decide, redeem, reserve, complete",
      seen.map(({ rest }) => rest),
      flows,
    ),
    row("idle, each second", [idle], idle.seconds),
  ];
}

function sizesTable(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  flows: number,
): string {
  const grown = [...after]
    .map(([name, bytes]) => ({ name, bytes: (bytes - (before.get(name) ?? 0)) / flows }))
    .filter(({ bytes }) => bytes >= 1)
    .sort((a, b) => b.bytes - a.bytes);
  const rows = [...grown, { name: "all", bytes: sum(grown.map(({ bytes }) => bytes)) }];
  return table(
    [`at rest after ${whole(flows)} flows`, "bytes a flow, with indexes"],
    rows.map(({ name, bytes }) => [name, whole(bytes)]),
  );
}
