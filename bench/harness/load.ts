/**
 * Load on one server: scripts are played over a number of connections, each script from its first request to its last.
 * It runs in the bench's own process, on another core than the servers where there is `taskset` to say so.
 */
import { readdirSync, readFileSync } from "node:fs";
import { type Answer, type Connection, openConnection } from "./connection.ts";

/** Given the last answer, the next request; undefined at the end. */
export type Script = (answer?: Answer) => Buffer | undefined;

export type CpuCost = {
  /** Scripts in a second of wall time. */
  readonly rate: number;
  /** Scripts in a second of the server's own CPU time; NaN where the system does not tell. */
  readonly cpuRate: number;
  /** Milliseconds from a script's first byte to its last answer. */
  readonly latencies: readonly number[];
};

export const connections = 32;

export async function runScript(
  { port, pid }: { readonly port: number; readonly pid: number },
  scripts: readonly Script[],
  width = connections,
): Promise<CpuCost> {
  const queue = scripts.values();
  const latencies: number[] = [];
  const open = await Promise.all(Array.from({ length: width }, () => openConnection(port)));
  const cpuBefore = cpuSeconds(pid);
  const start = performance.now();
  await Promise.all(open.map((connection) => work(connection)));
  const seconds = (performance.now() - start) / 1000;
  const cpu = cpuSeconds(pid) - cpuBefore;
  for (const connection of open) connection.close();
  return { rate: scripts.length / seconds, cpuRate: scripts.length / cpu, latencies };

  async function work(connection: Connection): Promise<void> {
    for (const script of queue) {
      const begun = performance.now();
      for (let request = script(); request; ) request = script(await connection.send(request));
      latencies.push(performance.now() - begun);
    }
  }
}

/** One request; `then` is given its answer, which has to have this status. */
export function once(request: Buffer, status: number, then: (answer: Answer) => void = () => {}): Script {
  return (answer) => {
    if (!answer) return request;
    expectStatus(answer, status);
    then(answer);
    return undefined;
  };
}

/** One poll of a request that waits, and is answered as such. */
export function polled(request: Buffer): Script {
  return once(request, 400, ({ head, body }) => {
    if (!/"(authorization_pending|slow_down)"/.test(body))
      throw new Error(`no request waits: ${head}\n\n${body}`);
  });
}

export function expectStatus({ status, head, body }: Answer, wanted: number): void {
  if (status !== wanted) throw new Error(`answered ${status} and not ${wanted}: ${head}\n\n${body}`);
}

/** What all threads of a process have had of any CPU, in seconds (Linux). */
export function cpuSeconds(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const spent = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    );
    return spent.reduce((sum, one) => sum + one, 0) / 1e9;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory, in megabytes (Linux). */
export function residentMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(line) / 1024;
}
