/**
 * Does a poll mind how many others wait? Two servers in turns, one with a thousand pending requests and one with a million
 * (BENCH_PENDING); polls of requests from all over. Fills some gigabytes and takes minutes.
 */
import { startCountersign } from "./harness/countersign.ts";
import { runScript } from "./harness/load.ts";
import { fillPending } from "./harness/seed.ts";
import { formatRange, quantile, rangeOf, table, whole } from "./harness/stats.ts";

const rounds = 7;
const polls = 900;

export async function million(): Promise<void> {
  const crowds = [1000, Number(process.env.BENCH_PENDING ?? 1_000_000)];
  const places = [];
  for (const pending of crowds) {
    const server = await startCountersign();
    // Each polled once in all rounds: faster ones would be told to slow down.
    const sample = await fillPending(server, pending, Math.min(pending, (rounds + 1) * polls));
    places.push({ server, pending, sample, p99s: [] as number[], rates: [] as number[] });
  }
  try {
    for (let round = 0; round <= rounds; round += 1)
      for (const { server, sample, p99s, rates } of places) {
        const scripts = Array.from(
          { length: polls },
          (_, at) => sample[(round * polls + at) % sample.length]!,
        );
        const { latencies, rate } = await runScript(server, scripts, 8);
        if (round === 0) continue;
        p99s.push(quantile(latencies, 0.99));
        rates.push(rate);
        // The few are polled again in the next round, which the interval has to let by.
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
  } finally {
    await Promise.all(places.map(({ server }) => server.close()));
  }
  const [few, many] = places;
  const rows = places.map(({ pending, p99s, rates }) => [
    whole(pending),
    whole(rangeOf(rates).median),
    `${formatRange(rangeOf(p99s))} ms`,
  ]);
  console.log(`\n${table(["pending", "polls a second", "p99"], rows)}`);
  const ratios = many!.p99s.map((p99, round) => p99 / few!.p99s[round]!);
  console.log(`p99 with many ÷ with few: ${formatRange(rangeOf(ratios))}`);
}
