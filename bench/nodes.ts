/**
 * Measures the cost of a complete flow over PostgreSQL with one, two and three nodes: CPU time of the nodes and of the database,
 * statements, commits and bytes. Whichever is saturated first limits the useful number of nodes. Each flow is requested on one
 * node, polled once on the next, and decided, redeemed and spent on the one after that.
 */

import { createRestScript } from "./flow.ts";
import { type Countersign, startCountersign } from "./harness/countersign.ts";
import { type Cost, countStatements, type Database, startDatabase } from "./harness/database.ts";
import { cpuSeconds, requestOnce, runScript, type Script } from "./harness/load.ts";
import type { Running } from "./harness/process.ts";
import { computeRange, formatInteger, formatRange, formatTable } from "./harness/stats.ts";
import { type Flow, parseAuthReqId } from "./harness/target.ts";

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
  const extraNodes: Running[] = [];
  const [flowRows, stepRows]: [string[][], string[][]] = [[], []];
  const costs: (FlowCost & { readonly count: number })[] = [];
  try {
    const before = await database.sizes();
    let flowCount = 0;
    for (const count of counts) {
      while (extraNodes.length + 1 < count) extraNodes.push(await server.startNode());
      for (const one of extraNodes.splice(count - 1)) await one.close();
      const all = [server, ...extraNodes];
      // Warm-up: newly loaded code is not compiled yet.
      for (let round = 0; round < 2; round += 1) await runRound(database, server, all);
      const measured: Round[] = [];
      for (let round = 0; round < rounds; round += 1) measured.push(await runRound(database, server, all));
      flowCount += (rounds + 2) * flowsEach;
      const idle = await measureCost(
        database,
        all,
        () => new Promise((resolve) => setTimeout(resolve, idleMs)),
      );
      flowRows.push(formatFlowRow(count, measured, idle));
      costs.push({ count, ...computeFlowCost(count, measured, idle) });
      stepRows.push(...formatStepRows(count, measured, idle));
    }
    const after = await database.sizes();
    console.log(`\n${formatTable(flowHead, flowRows)}`);
    console.log(`\n${formatTable(stepHead, stepRows)}`);
    console.log(`\n${formatSizes(before, after, flowCount)}`);
    console.log(`\n${formatLimits(costs)}`);
  } finally {
    await Promise.all([...extraNodes, server].map((one) => one.close()));
    await database.discard();
  }
}

async function runRound(database: Database, server: Countersign, all: readonly Running[]): Promise<Round> {
  const flows = await server.flows(flowsEach * all.length, "secret");
  const authReqIds: string[] = [];
  /** Each node gets a share of the flows; in the next step, the share of another node. */
  const runOnNodes = (step: number, script: (flow: Flow, at: number) => Script) =>
    measureCost(database, all, () =>
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
  const ask = await runOnNodes(0, (flow, at) =>
    requestOnce(flow.ask, 200, (response) => {
      authReqIds[at] = parseAuthReqId(response);
    }),
  );
  await server.loadCardHashes(authReqIds);
  const poll = await runOnNodes(1, (flow, at) => requestOnce(flow.poll(authReqIds[at]!), 400));
  const rest = await runOnNodes(2, (flow, at) => createRestScript(flow, authReqIds[at]!));
  return { ask, poll, rest };
}

async function measureCost(
  database: Database,
  all: readonly Running[],
  work: () => Promise<unknown>,
): Promise<CpuCost> {
  const readNodeCpu = () => all.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const before = readNodeCpu();
  let seconds = 0;
  const cost = await database.measure(async () => {
    const startedAt = performance.now();
    await work();
    seconds = (performance.now() - startedAt) / 1000;
  });
  return { seconds, nodeCpu: readNodeCpu() - before, cost };
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
type FlowCost = { readonly node: number; readonly database: number };

function computeFlowCost(count: number, measured: readonly Round[], idle: CpuCost): FlowCost {
  const of = (metric: (cost: CpuCost) => number) =>
    computeRange(perFlow(count, measured, idle, metric)).median;
  return { node: of(({ nodeCpu }) => nodeCpu), database: of(({ cost }) => cost.cpuSeconds) };
}

function perFlow(
  count: number,
  measured: readonly Round[],
  idle: CpuCost,
  metric: (cost: CpuCost) => number,
): number[] {
  return measured.map(({ ask, rest }) => {
    const idleShare = (metric(idle) / idle.seconds) * (ask.seconds + rest.seconds);
    return Math.max(0, metric(ask) + metric(rest) - idleShare) / (flowsEach * count);
  });
}

/** Returns the conclusion, independent of this machine's load. */
function formatLimits(costs: readonly (FlowCost & { readonly count: number })[]): string {
  const lines = costs.map(({ count, node, database }) => {
    const label = count === 1 ? "on one node" : `on ${count} nodes`;
    return `${label}: a core of nodes is full at ${formatInteger(1 / node)} flows a second, one of PostgreSQL at ${formatInteger(1 / database)}, so that ${(node / database).toFixed(1)} cores of nodes fill one of PostgreSQL`;
  });
  return lines.join("\n");
}

function formatFlowRow(count: number, measured: readonly Round[], idle: CpuCost): string[] {
  const flows = flowsEach * count;
  const of = (metric: (cost: CpuCost) => number) => perFlow(count, measured, idle, metric);
  const seconds = measured.map(({ ask, rest }) => ask.seconds + rest.seconds);
  const busy = (metric: (cost: CpuCost) => number) =>
    formatRange(
      computeRange(measured.map(({ ask, rest }, at) => (metric(ask) + metric(rest)) / seconds[at]!)),
    );
  const median = (list: readonly number[]) => computeRange(list).median;
  return [
    String(count),
    formatRange(computeRange(seconds.map((one) => flows / one)), formatInteger),
    formatRange(computeRange(of(({ nodeCpu }) => nodeCpu * 1000))),
    formatRange(computeRange(of(({ cost }) => cost.cpuSeconds * 1000))),
    busy(({ nodeCpu }) => nodeCpu),
    busy(({ cost }) => cost.cpuSeconds),
    median(of(({ cost }) => countStatements(cost))).toFixed(1),
    median(of(({ cost }) => countStatements(cost, /^COMMIT/))).toFixed(2),
    `${(median(of(({ cost }) => cost.walBytes)) / 1024).toFixed(1)} KB`,
  ];
}

const stepHead = ["nodes", "step", "node CPU, ms", "PostgreSQL CPU, ms", "statements", "reads", "commits"];

function formatStepRows(count: number, measured: readonly Round[], idle: CpuCost): string[][] {
  const row = (step: string, costs: readonly CpuCost[], computeFlowCost: number) => {
    const per = (metric: (cost: CpuCost) => number) =>
      sum(costs.map(metric)) / (costs.length * computeFlowCost);
    return [
      String(count),
      step,
      per(({ nodeCpu }) => nodeCpu * 1000).toFixed(2),
      per(({ cost }) => cost.cpuSeconds * 1000).toFixed(2),
      per(({ cost }) => countStatements(cost)).toFixed(2),
      per(({ cost }) => countStatements(cost, /^SELECT (held\.version|version, body|agent|body)/)).toFixed(2),
      per(({ cost }) => countStatements(cost, /^COMMIT/)).toFixed(2),
    ];
  };
  const flows = flowsEach * count;
  return [
    row(
      "ask",
      measured.map(({ ask }) => ask),
      flows,
    ),
    row(
      "pending poll",
      measured.map(({ poll }) => poll),
      flows,
    ),
    row(
      "decide, redeem, reserve, complete",
      measured.map(({ rest }) => rest),
      flows,
    ),
    row("idle, each second", [idle], idle.seconds),
  ];
}

function formatSizes(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  flows: number,
): string {
  const grown = [...after]
    .map(([name, bytes]) => ({ name, bytes: (bytes - (before.get(name) ?? 0)) / flows }))
    .filter(({ bytes }) => bytes >= 1)
    .sort((a, b) => b.bytes - a.bytes);
  const rows = [...grown, { name: "all", bytes: sum(grown.map(({ bytes }) => bytes)) }];
  return formatTable(
    [`at rest after ${formatInteger(flows)} flows`, "bytes a flow, with indexes"],
    rows.map(({ name, bytes }) => [name, formatInteger(bytes)]),
  );
}
