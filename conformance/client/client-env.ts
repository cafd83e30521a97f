/**
 * Environment for unmodified third-party clients: a complete server with HTTPS on loopback and a test CA, an approver with a
 * passkey, and client processes that only get the URL. The clock is the machine's, as theirs is. The only changed setting is a
 * short polling interval.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { allowLoopback } from "@countersign/testing/server/callback-harness";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import { type Deployment, deploy, type Person } from "@countersign/testing/server/deployment";
import type { ConfigEdit } from "@countersign/testing/server/edit-config";
import { getRequestListener } from "@hono/node-server";
import { addAgent, type NewAgent } from "../../packages/server/src/usecase/client/client-lifecycle.ts";

export type ClientEnv = {
  readonly issuer: string;
  /** Host and port without a scheme, as Auth0's SDKs expect it. */
  readonly domain: string;
  /** The test CA, as a file for `NODE_EXTRA_CA_CERTS`. */
  readonly ca: string;
  /** The test CA, PEM. */
  readonly authority: string;
  readonly deployment: Deployment;
  readonly ada: Person;
  readonly add: (agent: Partial<NewAgent> & Pick<NewAgent, "credential">) => Promise<Client>;
  /** Decides the next pending request of this agent as Ada. Returns its id. */
  readonly decideNext: (agent: string, verdict: "approve" | "deny", reason?: string) => Promise<string>;
  /** Resolves once this server has returned `authorization_pending` or `slow_down`. */
  readonly polled: () => Promise<void>;
  /** Runs a program of this directory. Returns the JSON of its last line. */
  readonly run: (program: string, env: Readonly<Record<string, string>>) => Promise<any>;
  /** Returns a free port, and a certificate for a callback server on it. */
  readonly reserve: () => Promise<{
    readonly port: number;
    readonly certificate: string;
    readonly key: string;
  }>;
  readonly close: () => Promise<void>;
};

export type Client = { readonly id: string; readonly secret: string };

/** `edit` is an edit of the sample configuration. */
export async function openClientEnv(edit: ConfigEdit = {}): Promise<ClientEnv> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-clients-"));
  const certificates = await createCertificateAuthority();
  const { certificate, key } = await certificates.issueForServer("localhost");
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, certificates.ca);

  let handle: (request: Request) => Response | Promise<Response> = () => new Response(null, { status: 503 });
  const listener = createServer(
    { cert: certificate, key },
    getRequestListener((request) => handle(request), { overrideGlobalObjects: false }),
  );
  const port = await listen(listener);
  const url = `https://localhost:${port}`;
  const deployment = await deploy({
    // Callbacks of agents on this machine, behind the test CA.
    config: { issuer: url, limits: { poll_interval: 1 }, ...allowLoopback(ca), ...edit },
  });
  Object.defineProperty(deployment.clock, "now", { get: () => Date.now() });
  const waiting: (() => void)[] = [];
  handle = async (request) => {
    const answer = await deployment.server.fetch(request);
    if (request.url.endsWith("/oauth/token") && answer.status === 400)
      for (const resolve of waiting.splice(0)) resolve();
    return answer;
  };
  const ada = await deployment.enrol("ada@example.com");
  let clients = 0;

  return {
    issuer: url,
    domain: `localhost:${port}`,
    ca,
    authority: certificates.ca,
    deployment,
    ada,
    add: async (given) => {
      clients += 1;
      const id = given.id ?? `client-${clients}`;
      const types = ["refund", "promote", "calendar.clear"];
      const added = await addAgent(deployment.server.store, {
        id,
        name: `Client ${clients}`,
        types,
        ...given,
      });
      if ("refused" in added) throw new Error(`there is an agent ${id} already`);
      return { id, secret: added.secret ?? "" };
    },
    decideNext: async (agent, verdict, reason) => {
      const id = await nextOf(deployment, ada.approver, agent);
      const answer = await ada.decide(id, verdict, reason === undefined ? {} : { reason });
      if (answer.status !== 303) throw new Error(`the decision was answered with ${answer.status}`);
      return id;
    },
    polled: () => new Promise((resolve) => waiting.push(resolve)),
    run: (program, env) =>
      run(program, { NODE_EXTRA_CA_CERTS: ca, DOMAIN: `localhost:${port}`, ISSUER: url, ...env }),
    reserve: async () => {
      const probe = createServer();
      const port = await listen(probe);
      await new Promise((resolve) => probe.close(resolve));
      return { port, certificate, key };
    },
    close: async () => {
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
      await deployment.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export async function listen(server: HttpsServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** Waits for a pending request of this agent. Returns the oldest. */
async function nextOf({ server }: Deployment, approver: string, agent: string): Promise<string> {
  let stop = () => {};
  try {
    return await new Promise<string>((resolve, reject) => {
      const look = async () => {
        const found = (await server.store.listPendingFor(approver)).find((one) => one.agent === agent);
        if (found) resolve(found.id);
      };
      stop = server.store.watch(() => void look().catch(reject));
      void look().catch(reject);
    });
  } finally {
    stop();
  }
}

async function run(program: string, env: Readonly<Record<string, string>>): Promise<any> {
  const file = fileURLToPath(new URL(`./program/${program}`, import.meta.url));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  let complained = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complained += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${complained}${printed}`);
  return JSON.parse(printed.trim().split("\n").at(-1) ?? "");
}
