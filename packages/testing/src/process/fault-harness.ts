/**
 * Server processes on the files of one folder, for tests of faults in the storage and of the process itself. An agent, an
 * API and an approver call them over HTTP.
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
import {
  deploy,
  findForm,
  readCsrfToken,
  readHiddenFields,
  refund,
  toBasicAuth,
} from "../server/deployment.ts";
import { type ConfigEdit, editConfig, formatConfig } from "../server/edit-config.ts";
import { findFreePort } from "../server/tls-fetch.ts";
import { killProcess } from "./server-process.ts";

const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;
const run = promisify(execFile);

export type NodeReply = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, any>;
};

export type ServerNode = {
  readonly child: ChildProcess;
  readonly url: string;
  /** Returns the standard error output so far. */
  readonly readStderr: () => string;
  /** Resolves when standard error matches. */
  readonly waitForStderr: (pattern: RegExp) => Promise<void>;
  /** Returns standard output and standard error so far. */
  readonly readOutput: () => string;
  readonly get: (path: string) => Promise<Response>;
  readonly ask: (order: string) => Promise<NodeReply>;
  readonly poll: (ticket: string, headers?: Readonly<Record<string, string>>) => Promise<NodeReply>;
  readonly reserve: (token: string, spendId: string) => Promise<NodeReply>;
  /** Submits the form of the card and returns the status of the response. */
  readonly decide: (request: string, verdict?: "approve" | "deny") => Promise<number>;
  readonly stop: () => Promise<void>;
};

export type FaultHarness = {
  readonly issuer: string;
  readonly file: string;
  readonly agent: { readonly id: string; readonly secret: string };
  readonly api: { readonly id: string; readonly secret: string };
  /** The session cookie of the approver. */
  readonly cookie: string;
  /** The root key, as in COUNTERSIGN_KEY. */
  readonly key: string;
  /** Starts a server on the file and resolves when it listens; several may run. */
  readonly start: (environment?: NodeJS.ProcessEnv) => Promise<ServerNode>;
  /** Starts a server that must fail, as this user id, and returns its standard error. */
  readonly readStartError: (uid?: number) => Promise<string>;
  /** Verifies the log by command and returns its entries. */
  readonly readEntries: () => Promise<readonly Entry[]>;
  readonly close: () => Promise<void>;
};

/** Creates the files of a deployment in this folder; `edit` is an edit of the sample configuration. */
export async function createFaultHarness(folder: string, edit: ConfigEdit = {}): Promise<FaultHarness> {
  const issuer = `http://localhost:${await findFreePort()}`;
  const deployment = await deploy({
    config: { issuer, limits: { max_pending_per_agent: 1000, max_requests_per_hour: 100_000 }, ...edit },
  });
  const config = deployment.config;
  deployment.clock.now = Date.now();
  const { agent, api } = deployment;
  const { cookie } = await deployment.enrol("ada@example.com");
  let csrf: Promise<string> | undefined;
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
  const first = configure(await findFreePort());

  /** Spawns a server and collects its output. */
  function spawnNode(configuration: string, uid?: number, environment: NodeJS.ProcessEnv = {}) {
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

  async function start(environment?: NodeJS.ProcessEnv): Promise<ServerNode> {
    const port = nodes.length === 0 ? Number(/-(\d+)\.yaml$/.exec(first)?.[1]) : await findFreePort();
    const { child, listening, said, printed } = spawnNode(
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
      readStderr: said,
      waitForStderr: async (pattern) => {
        for (let left = 400; !pattern.test(said()); left -= 1) {
          assert.ok(left > 0, `no match of ${pattern}: ${said()}`);
          await new Promise((resolve) => setTimeout(resolve, 25));
        }
      },
      readOutput: printed,
      get: (path) => fetch(url + path),
      ask: (order) => {
        const authorization_details = JSON.stringify([{ ...refund, order }]);
        const form = { scope: "openid", login_hint: "ada@example.com", authorization_details };
        return post(
          "/bc-authorize",
          { ...form, requested_expiry: "600" },
          { ...toBasicAuth(agent), "idempotency-key": order },
        );
      },
      poll: (auth_req_id, headers = {}) =>
        post(
          "/oauth/token",
          { grant_type: cibaGrantType, auth_req_id },
          { ...toBasicAuth(agent), ...headers },
        ),
      reserve: (token, spend_id) => {
        const act_digest = String(decodeJwt(token).act_digest);
        return post("/spend", { operation: "reserve", token, spend_id, act_digest }, toBasicAuth(api));
      },
      decide: async (request, verdict = "approve") => {
        const card = await (await fetch(`${url}/requests/${request}`, { headers: { cookie } })).text();
        csrf ??= readCsrfToken(async (path) => (await fetch(url + path, { headers: { cookie } })).text());
        const fields = { ...readHiddenFields(findForm(card, verdict)), csrf: await csrf };
        const body = new URLSearchParams({ ...fields, verdict });
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
    readStartError: async (uid) => {
      const { listening, said } = spawnNode(first, uid);
      assert.equal(await listening, false, "it started");
      return said();
    },
    readEntries: async () => {
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

/** Counts the entries of a request with this event. */
export function countEvents(entries: readonly Entry[], request: string, event: string): number {
  return entries.filter((entry) => entry.request === request && entry.event === event).length;
}
