/**
 * One or several server processes on one store, to be killed. The agent, the API and the approver that the set-up creates
 * call them over HTTP.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "@countersign/protocol";
import { editConfig, formatConfig } from "../server/edit-config.ts";
import { runCli } from "../server/run-cli.ts";
import { sampleConfig } from "../server/sample-config.ts";
import { findFreePort } from "../server/tls-fetch.ts";
import { killProcess, spawnServer, startProcess } from "./server-process.ts";
import { enrolByLink, type WorkloadTarget } from "./workload.ts";

export type ClusterNode = { readonly url: string; child?: ChildProcess };

/** A fault as logged on standard error. */
export type LoggedFault = { readonly operation: string; readonly fault: { readonly type: string } };

export type NodeHarness = {
  readonly nodes: readonly ClusterNode[];
  readonly target: WorkloadTarget;
  /** Starts a node again after a kill. Resolves when it listens. */
  readonly start: (node: ClusterNode) => Promise<void>;
  /** Starts a node without waiting until it listens. */
  readonly spawn: (node: ClusterNode) => void;
  readonly kill: (node: ClusterNode) => Promise<void>;
  /** Returns the faults that the nodes have logged so far. */
  readonly readFaults: () => readonly LoggedFault[];
  /** Verifies the log by command and returns its entries. */
  readonly readEntries: () => Promise<readonly Entry[]>;
  readonly close: () => Promise<void>;
};

export type NodeHarnessOptions = {
  /** The additional environment of each node; one node per item. */
  readonly environments: readonly NodeJS.ProcessEnv[];
  /** A PostgreSQL URL. Default: a SQLite file. */
  readonly store?: string;
  /** Returns the index of the node for the next request. Default: 0. */
  readonly chooseNode?: () => number;
};

export async function createNodeHarness({
  environments,
  store = "./countersign.db",
  chooseNode: choose = () => 0,
}: NodeHarnessOptions): Promise<NodeHarness> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-nodes-"));
  const ports = await Promise.all(environments.map(findFreePort));
  const issuer = `http://localhost:${ports[0]}`;
  const file = (n: number) => join(folder, `node-${n}.yaml`);
  const gone = new AbortController();
  const nodes: ClusterNode[] = ports.map((port) => ({ url: `http://localhost:${port}` }));
  const at = (node: ClusterNode) => nodes.indexOf(node);
  const said = nodes.map(() => "");
  const hear = (node: ClusterNode) => (text: string) => {
    said[at(node)] += text;
  };
  const start = async (node: ClusterNode) => {
    const child = await startProcess(file(at(node)), environments[at(node)], hear(node));
    child.once("exit", (code, signal) => {
      if (signal === "SIGKILL") return;
      gone.abort(new Error(`a server ended by itself (${code ?? signal}): ${said[at(node)]!.slice(-4_000)}`));
    });
    node.child = child;
  };
  const kill = ({ child }: ClusterNode) => killProcess(child);
  const close = async () => {
    gone.abort(new Error("the test is over"));
    await Promise.all(nodes.map(kill));
    rmSync(folder, { recursive: true });
  };
  try {
    for (const [n, port] of ports.entries()) writeFileSync(file(n), formatNodeConfig(issuer, port, store, n));
    const command = (...words: string[]) => countersign([...words, "--config", file(0)]);
    await command("init");
    const agent = {
      id: "agent-1",
      secret: findSecret(await command("agent", "add", "agent-1", "--type", "refund")),
    };
    const api = {
      id: "refunds-api",
      secret: findSecret(await command("api", "add", "refunds-api", "--for", "refunds")),
    };
    const link = (await command("approver", "invite", "ada@example.com")).trim().split("\n").at(-1) ?? "";
    await Promise.all(nodes.map(start));
    const stage: WorkloadTarget = {
      issuer,
      server: () => nodes[choose()]!.url,
      agent,
      api,
      cookie: await enrolByLink(new URL(link), issuer),
      stopped: gone.signal,
    };
    return {
      nodes,
      target: stage,
      start,
      spawn: (node) => {
        node.child = spawnServer(file(at(node)), environments[at(node)], hear(node));
      },
      kill,
      readFaults: () =>
        said.flatMap((text) =>
          text
            .split("\n")
            .flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? JSON.parse(line) : [])),
        ),
      readEntries: async () => {
        assert.match(await command("log", "verify"), /verifies/);
        const lines = (await command("log", "show", "--json", "--limit", "1000000")).trim().split("\n");
        return lines.map((line) => JSON.parse(line) as Entry);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Returns the text of the configuration of node `n`. */
function formatNodeConfig(issuer: string, port: number, store: string, n: number): string {
  // However slowly the machine starts a server, no token expires.
  const longToken = { token_lifetime: 300 };
  const config = editConfig(sampleConfig, {
    issuer,
    listen: { port },
    log: { checkpoint_file: `./checkpoints-${n}` },
    limits: { max_pending_per_agent: 1000, max_requests_per_hour: 100_000, poll_interval: 1 },
    actions: { refund: longToken, "signed-refund": longToken, "fresh-refund": longToken },
  });
  return formatConfig({ ...config, store });
}

const findSecret = (text: string) => /client_secret=(\S+)/.exec(text)?.[1] ?? "";

/** Runs a command and returns its standard output. */
async function countersign(words: readonly string[]): Promise<string> {
  const { code, out, err } = await runCli(words);
  assert.equal(code, 0, err);
  return out;
}
