/**
 * Compares the latency of polls with a thousand and with a million pending requests (BENCH_PENDING), on two servers in turn; the
 * polled requests are spread over all. Writes several gigabytes and takes minutes.
 */
import { startCountersign } from "./harness/countersign.ts";
import { runScript } from "./harness/load.ts";
import { fillPending } from "./harness/seed.ts";
import { computeRange, formatInteger, formatRange, formatTable, quantile } from "./harness/stats.ts";

const rounds = 7;
const polls = 900;

export async function million(): Promise<void> {
  const pendingCounts = [1000, Number(process.env.BENCH_PENDING ?? 1_000_000)];
  const servers = [];
  for (const pending of pendingCounts) {
    const server = await startCountersign();
    // Poll each request once in all rounds: faster polls would return slow_down.
    const sample = await fillPending(server, pending, Math.min(pending, (rounds + 1) * polls));
    servers.push({ server, pending, sample, p99s: [] as number[], rates: [] as number[] });
  }
  try {
    for (let round = 0; round <= rounds; round += 1)
      for (const { server, sample, p99s, rates } of servers) {
        const scripts = Array.from(
          { length: polls },
          (_, at) => sample[(round * polls + at) % sample.length]!,
        );
        const { latencies, rate } = await runScript(server, scripts, 8);
        if (round === 0) continue;
        p99s.push(quantile(latencies, 0.99));
        rates.push(rate);
        // The thousand are polled again in the next round, after the polling interval.
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
  } finally {
    await Promise.all(servers.map(({ server }) => server.close()));
  }
  const [few, many] = servers;
  const rows = servers.map(({ pending, p99s, rates }) => [
    formatInteger(pending),
    formatInteger(computeRange(rates).median),
    `${formatRange(computeRange(p99s))} ms`,
  ]);
  console.log(`\n${formatTable(["pending", "polls a second", "p99"], rows)}`);
  const ratios = many!.p99s.map((p99, round) => p99 / few!.p99s[round]!);
  console.log(`p99 with many ÷ with few: ${formatRange(computeRange(ratios))}`);
}
