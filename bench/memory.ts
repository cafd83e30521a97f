/** How much memory does the server hold with 100,000 requests pending, all of which have been polled? And how much CPU, idle? */
import { startCountersign } from "./stage/countersign.ts";
import { fillPending } from "./stage/crowd.ts";
import { table } from "./stage/figure.ts";
import { cpuSeconds, play, residentMegabytes } from "./stage/load.ts";
import { ship } from "./stage/shipped.ts";

const pending = 100_000;
const idleSeconds = 10;

export async function memory(): Promise<void> {
  const shipped = ship();
  const server = await startCountersign(undefined, shipped.program);
  try {
    const resident = () => `${residentMegabytes(server.pid).toFixed(0)} MB`;
    const rows = [["after the start", resident(), await idle(server.pid)]];
    await play(server, await fillPending(server, pending, pending));
    rows.push(["100,000 pending, each just polled", resident(), await idle(server.pid)]);
    console.log(`\n${table(["", "resident", `CPU over ${idleSeconds} idle seconds`], rows)}`);
  } finally {
    await server.close();
    shipped.discard();
  }
}

async function idle(pid: number): Promise<string> {
  const before = cpuSeconds(pid);
  await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000));
  return `${(((cpuSeconds(pid) - before) / idleSeconds) * 100).toFixed(2)} %`;
}
