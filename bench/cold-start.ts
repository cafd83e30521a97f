/** Measures the time from process creation to the first response, for each server in turn; the last is Node with an empty program. */
import { spawnSync } from "node:child_process";
import { startBare, startOidcProvider } from "./harness/baseline.ts";
import { openConnection, post } from "./harness/connection.ts";
import { startCountersign } from "./harness/countersign.ts";
import { installPacked } from "./harness/packed.ts";
import { run } from "./harness/process.ts";
import { computeRange, formatRange, formatTable } from "./harness/stats.ts";

const rounds = 7;

export async function coldStart(): Promise<void> {
  const ours = await startCountersign();
  const [peer, bare] = [await startOidcProvider(), await startBare()];
  await Promise.all([peer.close(), bare.close()]);
  // The files stay while the benchmark has them open.
  await ours.stop();
  const packed = installPacked();
  const words = [...packed.program, ...ours.args.slice(1)];
  const starts = [
    { name: "countersign, as shipped", words, ready: /listens on/, port: ours.port },
    { name: "countersign, its sources", words: ours.args, ready: /listens on/, port: ours.port },
    { name: "oidc-provider", words: peer.args, ready: /port (\d+)/, port: 0 },
    { name: "bare node:http", words: bare.args, ready: /port (\d+)/, port: 0 },
  ];
  const times = new Map<string, number[]>();
  const note = (name: string, start: number) =>
    times.set(name, [...(times.get(name) ?? []), performance.now() - start]);
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, words, ready, port } of starts) {
      const start = performance.now();
      const running = await run(words, ready, port);
      const connection = await openConnection(running.port);
      await connection.send(post("/", {}));
      note(name, start);
      connection.close();
      await running.close();
    }
    const start = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    note("node -e 0", start);
  }
  await ours.close();
  packed.discard();
  const rows = [...times].map(([name, list]) => [
    name,
    `${formatRange(computeRange(list), (ms) => ms.toFixed(0))} ms`,
  ]);
  console.log(`\n${formatTable(["cold start", "to the first answer"], rows)}`);
}
