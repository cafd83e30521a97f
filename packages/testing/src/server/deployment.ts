/**
 * A complete server in the process of the test: a store in a temporary folder, keys, pages, and a clock that the test
 * advances. It is called through `fetch`, as agents, APIs and browsers call it.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cibaGrantType, type JsonObject } from "@countersign/protocol";
import {
  type Config,
  formatProblem,
  parseConfig,
  toRegistrationPolicy,
} from "../../../server/src/config/config.ts";
import { createSecretSeal } from "../../../server/src/crypto/seal.ts";
import { readRegistration } from "../../../server/src/domain/client/registration.ts";
import { createServer, type Server, type ServerOptions } from "../../../server/src/server.ts";
import { addAgent, addApi, createCredential } from "../../../server/src/usecase/client/client-lifecycle.ts";
import { invite } from "../../../server/src/usecase/people/enrol.ts";
import { type ConfigEdit, type ConfigObject, editConfig, formatConfig } from "./edit-config.ts";
import { enrolPerson, type Person } from "./person.ts";
import { issuer, refund, sampleConfig } from "./sample-config.ts";

export { findForm, type Person, readCsrfToken, readHiddenFields, readPasskeyOptions } from "./person.ts";
export { issuer, refund, sampleConfig } from "./sample-config.ts";

export type HttpReply = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, any>;
};

export type Deployment = {
  readonly server: Server;
  readonly file: string;
  readonly rootKey: Uint8Array;
  readonly faults: unknown[];
  /** The operation of each fault, as logged. */
  readonly faultOperations: string[];
  /** Milliseconds since the epoch; tests advance it. */
  readonly clock: { now: number };
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
  readonly post: (
    path: string,
    form: Readonly<Record<string, string>> | string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<HttpReply>;
  readonly agent: { readonly id: string; readonly secret: string };
  /**
   * Registers an agent with client metadata in wire spelling. Default: poll mode, `client_secret_basic`, and every action
   * type. The secret is empty for methods without one.
   */
  readonly registerAgent: (
    id: string,
    metadata?: JsonObject,
  ) => Promise<{ readonly id: string; readonly secret: string }>;
  readonly api: { readonly id: string; readonly secret: string };
  /** Sends an authentication request as the agent. Default: a refund, to be approved by Ada. */
  readonly ask: (
    changed?: Readonly<Record<string, string | undefined>>,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<HttpReply>;
  readonly poll: (authReqId: string) => Promise<HttpReply>;
  readonly spend: (form: Readonly<Record<string, string>>) => Promise<HttpReply>;
  /** Invites and enrols an approver with a new passkey. */
  readonly enrol: (email: string) => Promise<Person>;
  /** The configuration of the running server. */
  readonly config: ConfigObject;
  /**
   * Opens the same files again, as after a crash, with the configuration of the first start or an edit of that. The clock
   * stays.
   */
  readonly restart: (edit?: ConfigEdit) => Promise<void>;
  readonly close: () => Promise<void>;
};

export const toBasicAuth = ({ id, secret }: { readonly id: string; readonly secret: string }) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64")}`,
});

export function toRequestId(authReqId: string): string {
  return authReqId.split(".")[0] ?? "";
}

export type DeployOptions = Pick<
  ServerOptions,
  "metrics" | "print" | "openDirectory" | "signInMethods" | "minFormAgeMs"
> & {
  /** An edit of `sampleConfig`. */
  readonly config?: ConfigEdit;
  /** Returns where the clock starts, in milliseconds since the epoch. Default: a fixed time. */
  readonly now?: () => number;
};

/** Starts a server in a folder of its own, with the agent `agent-1` and the API `refunds-api`. */
export async function deploy({
  config: initialEdit,
  now = () => Date.parse("2026-11-22T14:00:00Z"),
  ...options
}: DeployOptions = {}): Promise<Deployment> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-"));
  const rootKey = new Uint8Array(randomBytes(32));
  const clock = { now: now() };
  const faults: unknown[] = [];
  const faultOperations: string[] = [];
  const initialConfig: ConfigObject = initialEdit ? editConfig(sampleConfig, initialEdit) : sampleConfig;
  let configObject = initialConfig;
  let origin: string = issuer;
  let config: Config;
  let server = await start();

  function start(): Promise<Server> {
    const read = parseConfig(formatConfig(configObject), join(folder, "countersign.yaml"));
    if ("problems" in read) throw new Error(read.problems.map(formatProblem).join("\n"));
    config = read.config;
    origin = config.issuer;
    const onFault = (fault: unknown, where: string) => {
      faults.push(fault);
      faultOperations.push(where);
    };
    // Jobs are run by the tests, with `runJobs`.
    return createServer({
      config: read.config,
      rootKey,
      onFault,
      clock: () => clock.now,
      jobIntervalMs: 3_600_000,
      // The clock stands still between a page and its form.
      minFormAgeMs: 0,
      createStore: true,
      ...options,
    });
  }

  const request = async (path: string, init?: RequestInit) => server.fetch(new Request(origin + path, init));
  const post: Deployment["post"] = async (path, form, headers = {}) => {
    const body = typeof form === "string" ? form : new URLSearchParams(form).toString();
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const response = await request(path, { method: "POST", headers: { ...type, ...headers }, body });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };

  const registerAgent: Deployment["registerAgent"] = async (id, metadata = {}) => {
    const registration = readRegistration(metadata, toRegistrationPolicy(config));
    if ("problems" in registration) throw new Error(JSON.stringify(registration.problems));
    const { authMethod, ...rest } = registration;
    const name = typeof metadata.client_name === "string" ? metadata.client_name : id;
    const credential = createCredential(authMethod, createSecretSeal(rootKey).seal);
    const added = await addAgent(server.store, { id, name, ...rest, credential });
    if ("refused" in added) throw new Error(`agent ${id} already exists`);
    return { id, secret: added.secret ?? "" };
  };

  const types = ["refund", "signed-refund", "fresh-refund", "promote", "calendar.clear"];
  const agentAdded = await addAgent(server.store, {
    id: "agent-1",
    name: "Refund desk",
    types,
    credential: { method: "client_secret_basic" },
  });
  const apiAdded = await addApi(server.store, "refunds-api", "refunds");
  if ("refused" in agentAdded || "refused" in apiAdded) throw new Error("the store is not empty");
  const agent = { id: "agent-1", secret: agentAdded.secret ?? "" };
  const api = { id: "refunds-api", secret: apiAdded.secret };

  async function enrol(email: string): Promise<Person> {
    const { secret, approver } = await invite(server, email, email.split("@")[0] ?? email);
    return await enrolPerson({ origin, request }, { secret, approver: approver.id });
  }

  return {
    get server() {
      return server;
    },
    file: join(folder, "countersign.db"),
    rootKey,
    faults,
    faultOperations,
    clock,
    request,
    post,
    agent,
    registerAgent,
    api,
    ask: (changed = {}, headers = {}) => {
      const form = {
        scope: "openid",
        login_hint: "ada@example.com",
        authorization_details: JSON.stringify([refund]),
        ...changed,
      };
      const given = Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined);
      return post("/bc-authorize", Object.fromEntries(given), { ...toBasicAuth(agent), ...headers });
    },
    poll: (authReqId) =>
      post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: authReqId }, toBasicAuth(agent)),
    spend: (form) => post("/spend", form, toBasicAuth(api)),
    enrol,
    get config() {
      return configObject;
    },
    restart: async (edit) => {
      const edited = edit ? editConfig(initialConfig, edit) : initialConfig;
      await server.close();
      configObject = edited;
      server = await start();
    },
    close: async () => {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}
