/**
 * A complete Countersign server under test: a new directory with configuration, key and database, the real `countersign start` on
 * a free port, agents and approvers added as an operator would, a headless approver, and an API with the verifier. It can be
 * stopped, killed and restarted on the same store. It acts as the operator and never replaces parts of the server.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  type CertificateAuthority,
  createCertificateAuthority,
} from "@countersign/testing/server/certificate";
import { freePort } from "../examples/harness/port.ts";
import { createDeployment } from "../packages/server/src/command/cli/deployment.ts";
import { type Config, formatProblem, loadConfig } from "../packages/server/src/config/config.ts";
import { loadRootKey } from "../packages/server/src/crypto/root-key.ts";
import { createSecretSeal } from "../packages/server/src/crypto/seal.ts";
import { openDirectory } from "../packages/server/src/directory/open-directory.ts";
import { openStore } from "../packages/server/src/store/open.ts";
import type { Store } from "../packages/server/src/store/store.ts";
import { addAgent, addApi } from "../packages/server/src/usecase/client/client-lifecycle.ts";
import { invite } from "../packages/server/src/usecase/people/enrol.ts";
import { releaseDenial } from "../packages/server/src/usecase/request/cancel.ts";
import { setUserCode } from "../packages/server/src/usecase/request/user-code.ts";
import { type Call, call } from "./call.ts";
import { type Credentials, createCredentials } from "./credential.ts";
import { type HeadlessApprover, openHeadlessApprover } from "./headless-approver.ts";
import { type AgentPlan, type FullPlan, type Plan, readAgentPlan, readPlan } from "./plan.ts";
import { openResource, type Resource } from "./resource.ts";
import { type Running, startInProcess, startProcess } from "./run.ts";
import { writeRules } from "./sample-config.ts";

export type Approver = { readonly id: string; readonly email: string; readonly enrolmentUrl: string };
export type ApiCredentials = { readonly id: string; readonly secret: string };

export type Harness = {
  readonly issuer: string;
  readonly folder: string;
  readonly config: Config;
  readonly plan: FullPlan;
  /** The authority of the server's certificate, PEM; undefined for plain HTTP. */
  readonly ca: string | undefined;
  readonly agents: ReadonlyMap<string, Credentials>;
  /** Credentials of each configured API, by name. */
  readonly apis: ReadonlyMap<string, ApiCredentials>;
  readonly approvers: readonly Approver[];
  readonly headless: HeadlessApprover;
  readonly resource: Resource;
  /** The store, opened a second time for operator commands. */
  readonly store: Store;
  readonly addAgent: (plan: AgentPlan) => Promise<Credentials>;
  /** Calls the server. `path` is a path of the issuer, or a URL. */
  readonly call: (path: string, given?: Call) => ReturnType<typeof call>;
  /** Stops the server gracefully, or with SIGKILL, and starts it again on the same store. */
  readonly restart: (how?: "stop" | "kill") => Promise<void>;
  readonly close: () => Promise<void>;
};

export type HarnessOptions = {
  /** Run the server in this process, for tests that move its clock. Default: a separate process. */
  readonly inProcess?: boolean;
  /** The authority that signs the server's certificate; a new one by default. */
  readonly certificates?: CertificateAuthority;
};

export async function openHarness(
  given: Plan | unknown,
  { inProcess = false, certificates }: HarnessOptions = {},
): Promise<Harness> {
  const plan = readPlan(given);
  const folder =
    plan.folder === undefined
      ? mkdtempSync(join(tmpdir(), "countersign-conformance-"))
      : resolve(plan.folder);
  mkdirSync(folder, { recursive: true });
  const cleanups: (() => Promise<void> | void)[] = [];
  if (plan.folder === undefined) cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const close = async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
  };
  try {
    return {
      ...(await open(plan, folder, inProcess, certificates ?? (await newCertificates(plan)), cleanups)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  plan: FullPlan,
  folder: string,
  inProcess: boolean,
  certificates: CertificateAuthority,
  cleanups: (() => Promise<void> | void)[],
): Promise<Omit<Harness, "close">> {
  const port = plan.port ?? (await freePort());
  const file = await writeRules(plan, folder, port, certificates);
  const config = readConfig(file);
  // As `countersign init` does: files of an earlier run are kept.
  await createDeployment(config);
  const store = await openStore({ location: config.store });
  cleanups.push(() => store.close());

  const run = () => (inProcess ? startInProcess(file) : startProcess(file, folder));
  let server: Running = await run();
  cleanups.push(() => server.end());

  const ca = plan.https ? certificates.ca : undefined;
  const callServer: Harness["call"] = (path, more) =>
    call(path.startsWith("/") ? config.issuer + path : path, { ca, ...more });

  const { seal } = createSecretSeal(loadRootKey(config.keyFile));
  const agents = new Map<string, Credentials>();
  const addPlannedAgent: Harness["addAgent"] = async (agentPlan) => {
    const types = [...config.actions.keys()];
    const { registration, credentials } = await createCredentials(readAgentPlan(agentPlan), types, {
      certificates,
      seal,
      rsa: plan.rsa,
    });
    const added = await addAgent(store, registration);
    if ("refused" in added) throw new Error(`duplicate agent ${registration.id}`);
    const all = { ...credentials, ...(added.secret !== undefined && { secret: added.secret }) };
    agents.set(all.id, all);
    return all;
  };
  for (const agentPlan of plan.agents) await addPlannedAgent(agentPlan);

  const apis = new Map<string, ApiCredentials>();
  for (const api of config.apis.keys()) {
    const id = `${api}-api`;
    const added = await addApi(store, id, api);
    if ("refused" in added) throw new Error(`duplicate API ${id}`);
    apis.set(api, { id, secret: added.secret });
  }

  const enrolDeps = {
    store,
    directory: openDirectory({ settings: config, policy: { current: () => config }, store }),
  };
  const approvers: Approver[] = [];
  for (const { email, name = email, user_code } of plan.approvers) {
    const { secret, approver } = await invite(enrolDeps, email, name);
    if (user_code !== undefined) await setUserCode(enrolDeps, email, user_code);
    approvers.push({ id: approver.id, email, enrolmentUrl: `${config.issuer}/enrol/${secret}` });
  }
  const person = plan.approvers.find(({ email }) => email === (plan.headless ?? plan.approvers[0]?.email));
  if (!person) throw new Error("headless is not one of the approvers");
  const { secret: invitation } = await invite(enrolDeps, person.email, person.name ?? person.email, {
    test: true,
  });
  const headless = await openHeadlessApprover({
    call: callServer,
    origin: config.passkeys.origin,
    rpId: config.passkeys.rpId,
    invitation,
    readRequest: async (id) => (await store.read("request", id))?.record,
    ...(plan.reopen_denials && { afterDenial: (denialId) => releaseDenial(store, denialId) }),
  });
  cleanups.push(() => headless.close());

  const resource = await openResource({
    config,
    apis,
    ca,
    certificates: plan.https ? certificates : undefined,
  });
  cleanups.push(() => resource.close());

  return {
    issuer: config.issuer,
    folder,
    config,
    plan,
    ca,
    agents,
    apis,
    approvers,
    headless,
    resource,
    store,
    addAgent: addPlannedAgent,
    call: callServer,
    restart: async (how = "stop") => {
      await (how === "kill" ? server.kill() : server.end());
      server = await run();
    },
  };
}

/** Valid for longer than any suite runs. */
function newCertificates({ rsa }: FullPlan): Promise<CertificateAuthority> {
  const until = new Date(Date.now() + 90 * 24 * 3_600_000);
  return createCertificateAuthority({ algorithm: rsa ? "RS256" : "ES256", until });
}

function readConfig(file: string): Config {
  const read = loadConfig(file);
  if ("problems" in read) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.config;
}
