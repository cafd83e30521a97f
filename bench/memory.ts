/** Measures resident memory with 100,000 pending requests that have all been polled, and idle CPU. */
import { startCountersign } from "./harness/countersign.ts";
import { cpuSeconds, residentMegabytes, runScript } from "./harness/load.ts";
import { installPacked } from "./harness/packed.ts";
import { fillPending } from "./harness/seed.ts";
import { formatTable } from "./harness/stats.ts";

const pending = 100_000;
const idleSeconds = 10;

export async function memory(): Promise<void> {
  const packed = installPacked();
  const server = await startCountersign(undefined, packed.program);
  try {
    const resident = () => `${residentMegabytes(server.pid).toFixed(0)} MB`;
    const rows = [["after the start", resident(), await idle(server.pid)]];
    await runScript(server, await fillPending(server, pending, pending));
    rows.push(["100,000 pending, each just polled", resident(), await idle(server.pid)]);
    console.log(`\n${formatTable(["", "resident", `CPU over ${idleSeconds} idle seconds`], rows)}`);
  } finally {
    await server.close();
    packed.discard();
  }
}

async function idle(pid: number): Promise<string> {
  const before = cpuSeconds(pid);
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
  return `${(((cpuSeconds(pid) - before) / idleSeconds) * 100).toFixed(2)} %`;
}
