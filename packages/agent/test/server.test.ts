/** The SDK against the real server: client authentication, signed requests, DPoP-bound tokens, long polls. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Agent, type AgentOptions, type Ask, type Credentials, createAgent } from "@countersign/agent";
import type { JsonObject } from "@countersign/protocol";
import { deploy, issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier } from "@countersign/verifier";
import { exportJWK, generateKeyPair } from "jose";

const deployment = useDeployment({ now: Date.now });
let keys: CryptoKeyPair;
let jwks: JsonObject;
const audience = "https://refunds.example";
/** Every request sent, newest last. */
const sent: Request[] = [];

const network: typeof fetch = async (input, init) => {
  const request = new Request(`${input}`, init);
  sent.push(request.clone());
  return deployment.server.fetch(request);
};
const clock = {
  now: () => deployment.clock.now,
  elapsed: () => deployment.clock.now,
  async sleep(milliseconds: number) {
    deployment.clock.now += milliseconds;
  },
};

beforeTests(async () => {
  keys = await generateKeyPair("ES256", { extractable: true });
  jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256" } as JsonObject] };
});

let agents = 0;
/** Registers an agent and creates its SDK instance; `proof` is its credential if it has no secret. */
async function registerAgent(
  metadata: JsonObject,
  options: AgentOptions = {},
  proof: Pick<Credentials, "privateKey"> = {},
): Promise<Agent> {
  agents += 1;
  const { id: clientId, secret } = await deployment.registerAgent(`sdk-${agents}`, metadata);
  const credentials = { issuer, clientId, ...(secret ? { clientSecret: secret } : proof) } as Credentials;
  return createAgent(credentials, { fetch: network, clock, ...options });
}

let orders = 0;
function action() {
  orders += 1;
  return { ...refund, order: `K-${orders}` };
}
async function askedBy(agent: Agent, more = {}): Promise<Ask> {
  const asked = await agent.ask({ action: action(), approver: "ada@example.com", ...more });
  assert(asked.outcome === "asked", JSON.stringify(asked));
  return asked.ask;
}
async function approvedBy(agent: Agent) {
  const ask = await askedBy(agent);
  await deployment.ada.decide(toRequestId(ask.authReqId), "approve");
  const outcome = await agent.wait(ask);
  assert(outcome.outcome === "approved", JSON.stringify(outcome));
  return outcome;
}
const verifier = () =>
  createVerifier({
    issuer,
    audience,
    baseUrl: audience,
    clientId: deployment.api.id,
    clientSecret: deployment.api.secret,
    fetch: network,
    clock,
  });

describe("agent", () => {
  test("authenticates by secret: Basic, in the form, and as the key of an assertion", async () => {
    for (const method of ["client_secret_basic", "client_secret_post", "client_secret_jwt"] as const) {
      const agent = await registerAgent(
        { token_endpoint_auth_method: method },
        { clientAuthentication: method },
      );
      assert.equal((await approvedBy(agent)).approver, deployment.ada.approver, method);
    }
  });

  test("authenticates by private key, with each algorithm that the server accepts", async () => {
    for (const alg of ["ES256", "PS256", "RS256", "EdDSA"] as const) {
      const { publicKey, privateKey } = await generateKeyPair(alg);
      const metadata = {
        token_endpoint_auth_method: "private_key_jwt",
        jwks: { keys: [{ ...(await exportJWK(publicKey)), alg } as JsonObject] },
      };
      const agent = await registerAgent(metadata, {}, { privateKey: { key: privateKey, algorithm: alg } });
      assert.equal((await approvedBy(agent)).outcome, "approved", alg);
    }
  });

  test("accepts a signed request, and returns it for a retry with a new signature (T43, T49)", async () => {
    const metadata = { jwks, backchannel_authentication_request_signing_alg: "ES256" };
    const signRequests = { key: keys.privateKey, kid: "k1" };
    let losing = true;
    const lossy: typeof fetch = async (input, init) => {
      const response = await network(input, init);
      if (!`${input}`.endsWith("/bc-authorize") || !losing) return response;
      losing = false;
      throw new TypeError("connection lost");
    };
    const agent = await registerAgent(metadata, { signRequests, fetch: lossy });
    const ask = await askedBy(agent, { message: "Zurück an „Ada“", lifetimeSeconds: 300 });
    assert.equal(ask.joined, true, "the first attempt had asked");
    assert.equal(Math.round((ask.expiresAt - ask.askedAt) / 1000) > 290, true);
    const waiting = await deployment.server.store.listRequests({ state: "pending", limit: 99 });
    assert.equal(waiting.filter(({ id }) => id === toRequestId(ask.authReqId)).length, 1);
    await deployment.ada.decide(toRequestId(ask.authReqId), "approve");
    assert.equal((await agent.wait(ask)).outcome, "approved");

    const { id, secret } = await deployment.registerAgent("sdk-unsigned", metadata);
    const plain = createAgent({ issuer, clientId: id, clientSecret: secret }, { fetch: network, clock });
    const refused = await plain.ask({ action: action(), approver: "owner" });
    assert(refused.outcome === "refused");
    assert.equal(refused.error, "invalid_request");
  });

  test("spends a bound token with a proof for the call, and not without or with another", async () => {
    const agent = await registerAgent({ dpop_bound_access_tokens: true }, { dpop: true });
    const outcome = await approvedBy(agent);
    assert.equal(outcome.tokenType, "DPoP");
    const stated = { ...refund, order: `K-${orders}` };
    const url = `${audience}/refunds`;
    const call = (headers: Record<string, string>) => new Request(url, { method: "POST", headers });
    const spend = async (headers: Record<string, string>) =>
      (await verifier().spend(call(headers), stated, () => "refunded")).outcome;
    assert.equal(await spend({ authorization: `Bearer ${outcome.token}` }), "rejected");
    assert.equal(await spend({ authorization: `DPoP ${outcome.token}` }), "rejected");
    assert.equal(await spend(await outcome.headers("POST", `${audience}/other`)), "rejected");
    assert.equal(await spend(await outcome.headers("POST", url)), "done");
  });

  test("sends the nonces that the server and the API require, and loses no approval", async () => {
    const strict = await deploy({ config: { dpop: { require_nonce: true } } });
    try {
      const { id, secret } = await strict.registerAgent("sdk-nonce", { dpop_bound_access_tokens: true });
      const fetch: typeof globalThis.fetch = (input, init) =>
        strict.request(new URL(`${input}`).pathname, init);
      const own = { ...clock, now: () => strict.clock.now };
      const agent = createAgent(
        { issuer, clientId: id, clientSecret: secret },
        { fetch, clock: own, dpop: true },
      );
      const person = await strict.enrol("ada@example.com");
      const ask = await askedBy(agent);
      await person.decide(toRequestId(ask.authReqId), "approve");
      assert.equal((await agent.wait(ask)).outcome, "approved");
    } finally {
      await strict.close();
    }
  });

  test("waits by long poll, and returns the decision as soon as it is made", async () => {
    const agent = await registerAgent({});
    for (const [verdict, expected] of [
      ["approve", "approved"],
      ["deny", "denied"],
    ] as const) {
      const ask = await askedBy(agent);
      const startedAt = deployment.clock.now;
      const before = sent.length;
      const waiting = agent.wait(ask);
      await deployment.ada.decide(toRequestId(ask.authReqId), verdict);
      assert.equal((await waiting).outcome, expected);
      assert.equal(deployment.clock.now, startedAt);
      assert.deepEqual(
        sent.slice(before).map(({ url }) => new URL(url).pathname),
        ["/oauth/token"],
      );
    }
  });

  test("follows a long poll of more than an interval at once, without slow_down (T40)", async () => {
    const errors: unknown[] = [];
    /** Advances the server's clock during a long poll. */
    const passing: typeof fetch = async (input, init) => {
      const answering = network(input, init);
      const timer = setInterval(() => {
        deployment.clock.now += 25_000;
      }, 20);
      const response = await answering.finally(() => clearInterval(timer));
      if (`${input}`.endsWith("/oauth/token")) errors.push((await response.clone().json()).error);
      return response;
    };
    const agent = await registerAgent({}, { fetch: passing });
    const ask = await askedBy(agent, { lifetimeSeconds: 300 });
    errors.length = 0;
    assert.equal((await agent.wait(ask)).outcome, "expired");
    assert(errors.length > 3);
    assert.deepEqual(new Set(errors), new Set(["authorization_pending", "expired_token"]));
  });
});
