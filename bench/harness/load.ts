/**
 * Load generator for one server: runs scripts over several connections, each script from its first request to its last. It runs in
 * the benchmark's process, on a different core than the servers if `taskset` is available.
 */
import { readdirSync, readFileSync } from "node:fs";
import { type Connection, type HttpResponse, openConnection } from "./connection.ts";

/** Returns the next request, given the last response; undefined at the end. */
export type Script = (response?: HttpResponse) => Buffer | undefined;

export type CpuCost = {
  /** Scripts per second of wall time. */
  readonly rate: number;
  /** Scripts per CPU second of the server; NaN if the system does not report CPU time. */
  readonly cpuRate: number;
  /** Milliseconds from a script's first byte to its last response. */
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
  await Promise.all(open.map((connection) => runQueue(connection)));
  const seconds = (performance.now() - start) / 1000;
  const cpu = cpuSeconds(pid) - cpuBefore;
  for (const connection of open) connection.close();
  return { rate: scripts.length / seconds, cpuRate: scripts.length / cpu, latencies };

  async function runQueue(connection: Connection): Promise<void> {
    for (const script of queue) {
      const startedAt = performance.now();
      for (let request = script(); request; ) request = script(await connection.send(request));
      latencies.push(performance.now() - startedAt);
    }
  }
}

/** One request. `then` receives its response, which must have this status. */
export function requestOnce(
  request: Buffer,
  status: number,
  onResponse: (response: HttpResponse) => void = () => {},
): Script {
  return (response) => {
    if (!response) return request;
    expectStatus(response, status);
    onResponse(response);
    return undefined;
  };
}

/** One poll of a pending request; the response must be pending. */
export function pollOnce(request: Buffer): Script {
  return requestOnce(request, 400, ({ head, body }) => {
    if (!/"(authorization_pending|slow_down)"/.test(body))
      throw new Error(`the request is not pending: ${head}\n\n${body}`);
  });
}

export function expectStatus({ status, head, body }: HttpResponse, expected: number): void {
  if (status !== expected) throw new Error(`returned ${status}, expected ${expected}: ${head}\n\n${body}`);
}

/** Returns the CPU seconds of all threads of a process (Linux). */
export function cpuSeconds(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    );
    return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9;
  } catch {
    return Number.NaN;
  }
}

/** Returns the resident memory in megabytes (Linux). */
export function residentMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(line) / 1024;
}
