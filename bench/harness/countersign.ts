/** Countersign as an operator runs it: `countersign start`, SQLite file with fsync, audit log, jobs every half second. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { actionDigest, cibaGrantType } from "@countersign/protocol";
import { createVirtualAuthenticator } from "@countersign/testing/browser/virtual-authenticator";
import {
  readCsrfToken,
  readHiddenFields,
  readPasskeyOptions,
  refund,
  sampleConfig,
  toBasicAuth,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import { decodeJwt } from "jose";
import { createRootKey, loadRootKey, type RootKey } from "../../packages/server/src/crypto/root-key.ts";
import { createConfigDirectory } from "../../packages/server/src/directory/config-directory.ts";
import { openStore } from "../../packages/server/src/store/open.ts";
import type { Store } from "../../packages/server/src/store/store.ts";
import { addAgent, addApi } from "../../packages/server/src/usecase/client/client-lifecycle.ts";
import { invite } from "../../packages/server/src/usecase/people/enrol.ts";
import { post } from "./connection.ts";
import { type Running, run } from "./process.ts";
import { createSigning, type Flow, type Method, type Target } from "./target.ts";

const sources = new URL("../../packages/server/src/main.ts", import.meta.url).pathname;

/** The line that the server prints when it listens. */
const ready = /listens on/;

/** Number of agents: many, each with only a few pending requests. */
const agentCount = 1000;

export type Countersign = Target & {
  /** The server's own store, opened a second time. */
  readonly store: Store;
  readonly rootKey: RootKey;
  readonly file: string;
  /** The command line that starts it. */
  readonly args: readonly string[];
  /** Ends the process; `close` removes its files. */
  readonly stop: () => Promise<void>;
  /** Starts another server on the same store, on any core. */
  readonly startNode: () => Promise<Running>;
  /** Reads the card hashes outside of the measurement, for stores that cannot be read synchronously. */
  readonly loadCardHashes: (authReqIds: readonly string[]) => Promise<void>;
};

/** Starts Countersign on a new file, or on the given store. */
export async function startCountersign(
  location?: string,
  program: readonly string[] = [sources],
): Promise<Countersign> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  const port = await findFreePort();
  const issuer = `http://localhost:${port}`;
  const configuration = join(folder, "countersign.yaml");
  const lifetime = { default: 600 };
  const config = editConfig(sampleConfig, {
    issuer,
    listen: { port },
    limits: { max_pending_per_agent: 1000, max_requests_per_hour: 100_000, poll_interval: 1 },
    actions: { refund: { lifetime }, "signed-refund": { lifetime }, "fresh-refund": { lifetime } },
    ...(location && { store: location }),
  });
  writeFileSync(configuration, formatConfig(config));
  createRootKey(join(folder, "countersign.key"));
  const rootKey = loadRootKey(join(folder, "countersign.key"));
  const file = join(folder, "countersign.db");
  const store = await openStore({ location: location ?? file, create: true });

  const signing = await createSigning();
  const agents: { readonly id: string; readonly headers: Readonly<Record<string, string>> }[] = [];
  for (let at = 0; at < agentCount; at += 1) {
    const registration = { name: "Refund desk", types: ["refund"] };
    const id = `agent-${at}`;
    const added = await addAgent(store, {
      id,
      ...registration,
      credential: { method: "client_secret_basic" },
    });
    if ("refused" in added) throw new Error(added.refused);
    agents.push({ id, headers: toBasicAuth({ id, secret: added.secret ?? "" }) });
    await addAgent(store, {
      id: `key-${id}`,
      ...registration,
      credential: { method: "private_key_jwt" },
      keys: { from: "registration", jwks: [signing.publicJwk as never] },
    });
  }
  const api = await addApi(store, "refunds-api", "refunds");
  if ("refused" in api) throw new Error(api.refused);
  const apiHeaders = toBasicAuth({ id: "refunds-api", secret: api.secret });
  const directory = createConfigDirectory({
    policy: { current: () => ({ actions: new Map(), groups: new Map() }) },
    store,
  });
  const { secret: invitation } = await invite({ store, directory }, "ada@example.com", "Ada");

  const args = [...program, "start", "--config", configuration];
  const running = await run(args, ready, port, location === undefined);
  const cookie = await enrol(issuer, invitation);
  const csrf = await readCsrfToken(async (path) =>
    (await fetch(issuer + path, { headers: { cookie } })).text(),
  );

  const cards = new Map<string, string>();
  let nodeCount = 0;
  let flowCount = 0;
  async function flow(method: Method): Promise<Flow> {
    flowCount += 1;
    const agent = agents[flowCount % agentCount]!;
    const action = { ...refund, order: `A-${flowCount}` };
    const prove = async () => {
      if (method === "secret") return { form: {}, headers: agent.headers };
      const form = await signing.assertion(`key-${agent.id}`, issuer);
      const dpop = await signing.proof.prove({ htu: `${issuer}/oauth/token`, now: Date.now() });
      return { form, headers: { dpop } };
    };
    const ask = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([action]),
    };
    const [askProof, pollProof, redeemProof] = [await prove(), await prove(), await prove()];
    const askHeaders = method === "secret" ? askProof.headers : {};
    const tokenRequest = (authReqId: string, { form, headers }: typeof askProof) =>
      post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: authReqId, ...form }, headers);
    const spendId = randomBytes(16).toString("base64url");
    const spend = (parameters: Record<string, string>) =>
      post("/spend", { ...parameters, spend_id: spendId }, apiHeaders);
    return {
      ask: post("/bc-authorize", { ...ask, ...askProof.form }, askHeaders),
      poll: (authReqId) => tokenRequest(authReqId, pollProof),
      redeem: (authReqId) => tokenRequest(authReqId, redeemProof),
      // The approver's form contains the card hash, which is read from the store.
      decide: (authReqId) => {
        const id = toRequestId(authReqId);
        const stored = cards.has(id) ? undefined : store.read("request", id);
        if (stored instanceof Promise) throw new Error(`the card hash of ${id} was not read before`);
        const card = cards.get(id) ?? stored?.record.cardHash;
        if (card === undefined) throw new Error(`${id} is not in the store`);
        const form = { csrf, card, verdict: "approve" };
        return post(`/requests/${id}/decision`, form, { origin: issuer, cookie });
      },
      reserve: (token) =>
        spend({
          operation: "reserve",
          token,
          act_digest: computeDigest(action, decodeJwt(token) as TokenClaims),
        }),
      complete: (token) => spend({ operation: "complete", token }),
    };
  }

  return {
    name: "countersign",
    ...running,
    store,
    rootKey,
    file,
    args,
    stop: running.close,
    startNode: async () => {
      nodeCount += 1;
      const [nodeConfig, nodePort] = [join(folder, `node-${nodeCount}.yaml`), await findFreePort()];
      writeFileSync(nodeConfig, formatConfig(editConfig(config, { listen: { port: nodePort } })));
      return await run([...program, "start", "--config", nodeConfig], ready, nodePort, false);
    },
    loadCardHashes: async (authReqIds) => {
      for (const id of authReqIds.map(toRequestId)) {
        const stored = await store.read("request", id);
        if (stored) cards.set(id, stored.record.cardHash);
      }
    },
    flows: (count, method) => Promise.all(Array.from({ length: count }, () => flow(method))),
    close: async () => {
      await running.close();
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

type TokenClaims = { readonly act_type_hash: string; readonly aud: string };

function computeDigest(
  { type, ...bound }: typeof refund,
  { act_type_hash: typeHash, aud }: TokenClaims,
): string {
  return actionDigest({ type, typeHash, audience: aud, bound });
}

/** Enrols the approver. Returns the session cookie. */
async function enrol(issuer: string, invitation: string): Promise<string> {
  const passkey = createVirtualAuthenticator({ rpId: "localhost", origin: issuer });
  const link = `${issuer}/enrol/${invitation}`;
  const page = await (await fetch(link)).text();
  const attestation = JSON.stringify(passkey.createAttestation(readPasskeyOptions(page)));
  const response = await fetch(link, {
    method: "POST",
    headers: { origin: issuer },
    body: new URLSearchParams({ ...readHiddenFields(page), attestation, device: "Phone" }),
    redirect: "manual",
  });
  if (response.status !== 303)
    throw new Error(`enrolment returned ${response.status}: ${await response.text()}`);
  return (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}
