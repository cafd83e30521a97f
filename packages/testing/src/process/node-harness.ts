/**
 * A deployment whose servers are processes of their own, to be killed: one or several over one store, spoken to over HTTP
 * by the agent, the API and the approver that were let in at the start.
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
import { freePort } from "../server/tls-fetch.ts";
import { killProcess, spawnServer, startProcess } from "./server-process.ts";
import { enrol, type StoryTarget } from "./story.ts";

export type Node = { readonly url: string; child?: ChildProcess };

/** A line of standard error, as an operator's tools read it. */
export type Fault = { readonly operation: string; readonly fault: { readonly type: string } };

export type NodeHarness = {
  readonly nodes: readonly Node[];
  readonly stage: StoryTarget;
  /** Starts one that was killed. Resolves when it listens. */
  readonly start: (node: Node) => Promise<void>;
  /** Starts it, and does not wait for what becomes of it. */
  readonly begin: (node: Node) => void;
  readonly kill: (node: Node) => Promise<void>;
  /** What the nodes have told their operator until now. */
  readonly faults: () => readonly Fault[];
  /** Verifies the log as an operator would, and answers its entries. */
  readonly entries: () => Promise<readonly Entry[]>;
  readonly close: () => Promise<void>;
};

export type NodeHarnessOptions = {
  /** One node for each, with the environment that its process has more than this one. */
  readonly environments: readonly NodeJS.ProcessEnv[];
  /** A PostgreSQL URL; a SQLite file of their own where there is none. */
  readonly store?: string;
  /** Where the next request goes: the index of a node. */
  readonly choose?: () => number;
};

export async function createNodeHarness({
  environments,
  store = "./countersign.db",
  choose = () => 0,
}: NodeHarnessOptions): Promise<NodeHarness> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-nodes-"));
  const ports = await Promise.all(environments.map(freePort));
  const issuer = `http://localhost:${ports[0]}`;
  const file = (n: number) => join(folder, `node-${n}.yaml`);
  const gone = new AbortController();
  const nodes: Node[] = ports.map((port) => ({ url: `http://localhost:${port}` }));
  const at = (node: Node) => nodes.indexOf(node);
  const said = nodes.map(() => "");
  const hear = (node: Node) => (text: string) => {
    said[at(node)] += text;
  };
  const start = async (node: Node) => {
    const child = await startProcess(file(at(node)), environments[at(node)], hear(node));
    child.once("exit", (code, signal) => {
      if (signal === "SIGKILL") return;
      gone.abort(new Error(`a server ended by itself (${code ?? signal}): ${said[at(node)]!.slice(-4_000)}`));
    });
    node.child = child;
  };
  const kill = ({ child }: Node) => killProcess(child);
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
      secret: secretIn(await command("agent", "add", "agent-1", "--type", "refund")),
    };
    const api = {
      id: "refunds-api",
      secret: secretIn(await command("api", "add", "refunds-api", "--for", "refunds")),
    };
    const link = (await command("approver", "invite", "ada@example.com")).trim().split("\n").at(-1) ?? "";
    await Promise.all(nodes.map(start));
    const stage: StoryTarget = {
      issuer,
      server: () => nodes[choose()]!.url,
      agent,
      api,
      cookie: await enrol(new URL(link), issuer),
      gone: gone.signal,
    };
    return {
      nodes,
      stage,
      start,
      begin: (node) => {
        node.child = spawnServer(file(at(node)), environments[at(node)], hear(node));
      },
      kill,
      faults: () =>
        said.flatMap((text) =>
          text
            .split("\n")
            .flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? JSON.parse(line) : [])),
        ),
      entries: async () => {
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

const secretIn = (text: string) => /client_secret=(\S+)/.exec(text)?.[1] ?? "";

/** What the command prints. */
async function countersign(words: readonly string[]): Promise<string> {
  const { code, out, err } = await runCli(words);
  assert.equal(code, 0, err);
  return out;
}
