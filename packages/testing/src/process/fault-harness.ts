/**
 * A deployment in a folder in which things go wrong: its server is the real one, as a process of its own, and is spoken to
 * over HTTP by an agent, an API and an approver.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { cibaGrantType, type Entry } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { basic, deploy, formOf, hidden, refund } from "../server/deployment.ts";
import { type ConfigEdit, editConfig, formatConfig } from "../server/edit-config.ts";
import { freePort } from "../server/tls-fetch.ts";
import { killProcess } from "./server-process.ts";

const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;
const run = promisify(execFile);

export type Heard = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, any>;
};

export type Node = {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it wrote to standard error so far; and to standard error and standard output. */
  readonly said: () => string;
  /** Resolves when it has said this: it does not wait for whoever reads. */
  readonly says: (pattern: RegExp) => Promise<void>;
  readonly printed: () => string;
  readonly get: (path: string) => Promise<Response>;
  readonly ask: (order: string) => Promise<Heard>;
  readonly poll: (ticket: string, headers?: Readonly<Record<string, string>>) => Promise<Heard>;
  readonly reserve: (token: string, spendId: string) => Promise<Heard>;
  /** Answers the status of the answer to the form. */
  readonly decide: (request: string, verdict?: "approve" | "deny") => Promise<number>;
  readonly stop: () => Promise<void>;
};

export type FaultHarness = {
  readonly issuer: string;
  readonly file: string;
  readonly agent: { readonly id: string; readonly secret: string };
  readonly api: { readonly id: string; readonly secret: string };
  /** Of the approver's session. */
  readonly cookie: string;
  /** The outside key, as the environment has it. */
  readonly key: string;
  /** Starts a server on the file, and resolves when it listens; several may be started. */
  readonly start: (environment?: NodeJS.ProcessEnv) => Promise<Node>;
  /** What it says instead of starting, as this account of the machine where one is named. */
  readonly refusal: (uid?: number) => Promise<string>;
  /** Verifies the log as an operator would, and answers its entries. */
  readonly entries: () => Promise<readonly Entry[]>;
  readonly close: () => Promise<void>;
};

/** Creates the files of a deployment in this folder; `edit` is an edit of the sample configuration. */
export async function createFaultHarness(folder: string, edit: ConfigEdit = {}): Promise<FaultHarness> {
  const issuer = `http://localhost:${await freePort()}`;
  const deployment = await deploy({
    config: { issuer, limits: { max_pending_per_agent: 1000, max_requests_per_hour: 100_000 }, ...edit },
  });
  const config = deployment.config;
  deployment.clock.now = Date.now();
  const { agent, api } = deployment;
  const { cookie } = await deployment.enrol("ada@example.com");
  await deployment.server.runJobs();
  const file = join(folder, "countersign.db");
  const made = new DatabaseSync(deployment.file);
  made.exec(`VACUUM INTO '${file}'`);
  made.close();
  const key = Buffer.from(deployment.rootKey).toString("base64url");
  await deployment.close();
  chmodSync(folder, 0o755);
  const env = { ...process.env, COUNTERSIGN_KEY: key };
  const nodes: ChildProcess[] = [];

  const configure = (port: number) => {
    const path = join(folder, `countersign-${port}.yaml`);
    writeFileSync(path, formatConfig(editConfig(config, { listen: { port } })));
    return path;
  };
  const first = configure(await freePort());

  /** A server that is beginning, and what it says. */
  function begin(configuration: string, uid?: number, environment: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [main, "start", "--config", configuration], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...env, ...environment },
      ...(uid !== undefined && { uid }),
    });
    nodes.push(child);
    let said = "";
    let printed = "";
    child.stderr.on("data", (chunk) => {
      said += chunk;
      printed += chunk;
    });
    child.stdout.on("data", (chunk) => {
      printed += chunk;
    });
    const listening = new Promise<boolean>((resolve) => {
      child.stdout.on("data", (chunk) => String(chunk).includes("listens on") && resolve(true));
      child.once("close", () => resolve(false));
    });
    return { child, listening, said: () => said, printed: () => printed };
  }

  async function start(environment?: NodeJS.ProcessEnv): Promise<Node> {
    const port = nodes.length === 0 ? Number(/-(\d+)\.yaml$/.exec(first)?.[1]) : await freePort();
    const { child, listening, said, printed } = begin(
      nodes.length === 0 ? first : configure(port),
      undefined,
      environment,
    );
    assert.ok(await listening, said());
    const url = `http://localhost:${port}`;
    const post = async (path: string, form: Record<string, string>, headers: Record<string, string>) => {
      const answer = await fetch(url + path, { method: "POST", headers, body: new URLSearchParams(form) });
      const body = (await answer.json()) as Record<string, any>;
      return { status: answer.status, headers: answer.headers, body };
    };
    return {
      child,
      url,
      said,
      says: async (pattern) => {
        for (let left = 400; !pattern.test(said()); left -= 1) {
          assert.ok(left > 0, `it never said ${pattern}: ${said()}`);
          await new Promise((resolve) => setTimeout(resolve, 25));
        }
      },
      printed,
      get: (path) => fetch(url + path),
      ask: (order) => {
        const authorization_details = JSON.stringify([{ ...refund, order }]);
        const form = { scope: "openid", login_hint: "ada@example.com", authorization_details };
        return post(
          "/bc-authorize",
          { ...form, requested_expiry: "600" },
          { ...basic(agent), "idempotency-key": order },
        );
      },
      poll: (auth_req_id, headers = {}) =>
        post("/oauth/token", { grant_type: cibaGrantType, auth_req_id }, { ...basic(agent), ...headers }),
      reserve: (token, spend_id) => {
        const act_digest = String(decodeJwt(token).act_digest);
        return post("/spend", { operation: "reserve", token, spend_id, act_digest }, basic(api));
      },
      decide: async (request, verdict = "approve") => {
        const card = await (await fetch(`${url}/requests/${request}`, { headers: { cookie } })).text();
        const body = new URLSearchParams({ ...hidden(formOf(card, verdict)), verdict });
        const headers = { origin: issuer, cookie };
        const to = `${url}/requests/${request}/decision`;
        const answer = await fetch(to, { method: "POST", headers, body, redirect: "manual" });
        await answer.text();
        return answer.status;
      },
      stop: async () => {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        assert.deepEqual(await gone, [0, null], said());
      },
    };
  }

  return {
    issuer,
    file,
    agent,
    api,
    cookie,
    key,
    start,
    refusal: async (uid) => {
      const { listening, said } = begin(first, uid);
      assert.equal(await listening, false, "it started");
      return said();
    },
    entries: async () => {
      const command = async (...words: string[]) =>
        (await run(process.execPath, [main, ...words, "--config", first], { env, maxBuffer: 2 ** 28 }))
          .stdout;
      assert.match(await command("log", "verify"), /verifies/);
      const lines = (await command("log", "show", "--json", "--limit", "1000000")).trim().split("\n");
      return lines.map((line) => JSON.parse(line) as Entry);
    },
    close: async () => {
      await Promise.all(nodes.map(killProcess));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How many entries of this kind the log has about a request. */
export function countIn(entries: readonly Entry[], request: string, event: string): number {
  return entries.filter((entry) => entry.request === request && entry.event === event).length;
}
