/** One client certificate for the token request and the API call, over TLS, with unmodified `openid-client`. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import type { Certificate } from "@countersign/testing/server/certificate";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import { createProofKey } from "@countersign/testing/server/dpop-key";
import { useListeners } from "@countersign/testing/server/listeners";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/express";
import express from "express";
import { decodeJwt } from "jose";
import * as client from "openid-client";
import { addAgent } from "../../server/src/usecase/client/client-lifecycle.ts";

const listeners = useListeners(({ port, mtlsPort, folder }) => ({
  listen: { port, tls: { certificate: `${folder}/server.pem`, key: `${folder}/server.key` } },
  mtls: {
    url: `https://localhost:${mtlsPort}`,
    listen: { port: mtlsPort },
    authorities: `${folder}/authority.pem`,
  },
}));
let ours: Certificate;
let theirs: Certificate;
let url: string;
let close: () => unknown;

beforeTests(async () => {
  ours = await listeners.authority.issueForClient("CN=agent");
  theirs = await listeners.authority.issueForClient("CN=agent");
  const { store } = listeners.deployment.server;
  const common = { name: "Bound agent", types: ["refund"] };
  const credential = { method: "tls_client_auth", name: "subject_dn", value: "CN=agent" } as const;
  await addAgent(store, { ...common, id: "agent-mtls", credential, binding: "mtls" });
  await addAgent(store, { ...common, id: "agent-dpop", credential, binding: "dpop" });

  const verifier = createVerifier({
    issuer: listeners.issuer,
    audience: "https://refunds.example",
    clientId: listeners.deployment.api.id,
    clientSecret: listeners.deployment.api.secret,
    fetch: listeners.createFetch() as typeof fetch,
  });
  const app = express();
  const guard = countersigned(verifier, (req) => {
    const { order, amount, currency } = req.body;
    return { type: "refund", order, amount, currency };
  });
  app.post("/refunds", express.json(), guard, (_req, res) => void res.json({ refunded: true }));
  const { certificate: cert, key } = await listeners.authority.issueForServer("localhost");
  // No authority is checked here: the token names the certificate's thumbprint.
  const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, app);
  await once(server.listen(0, "127.0.0.1"), "listening");
  url = `https://localhost:${(server.address() as AddressInfo).port}/refunds`;
  close = () => server.close();
});
after(async () => {
  close();
});

async function configure(id: string): Promise<client.Configuration> {
  const fetch = listeners.createFetch(ours) as client.CustomFetch;
  const metadata = { use_mtls_endpoint_aliases: true };
  const config = await client.discovery(new URL(listeners.issuer), id, metadata, client.TlsClientAuth(), {
    [client.customFetch]: fetch,
  });
  config[client.customFetch] = fetch;
  return config;
}
async function approved(config: client.Configuration, order: string) {
  const ada = await listeners.deployment.enrol("ada@example.com");
  const asked = await client.initiateBackchannelAuthentication(config, {
    scope: "openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify([{ ...refund, order }]),
  });
  await ada.decide(toRequestId(asked.auth_req_id), "approve");
  return { ...asked, interval: 0.01 };
}
const call = (token: string, order: string, certificate?: Certificate) =>
  listeners.createFetch(certificate)(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...refund, order }),
  });

describe("certificate-bound token", () => {
  test("accepts a token over a connection with the certificate it was granted to, and no other", async () => {
    const config = await configure("agent-mtls");
    assert.equal(config.serverMetadata().tls_client_certificate_bound_access_tokens, true);
    const granted = await client.pollBackchannelAuthenticationGrant(config, await approved(config, "M-1"));
    assert.equal(granted.token_type, "bearer");
    assert.deepEqual(decodeJwt(granted.access_token).cnf, { "x5t#S256": ours.thumbprint });
    for (const certificate of [undefined, theirs])
      assert.equal((await call(granted.access_token, "M-1", certificate)).status, 401);
    assert.equal((await call(granted.access_token, "M-1", ours)).status, 200);
    assert.equal((await call(granted.access_token, "M-1", ours)).status, 401, "once");
  });

  test("grants a bound token at the mTLS listener only, also with another client authentication", async () => {
    const { store } = listeners.deployment.server;
    const added = await addAgent(store, {
      id: "agent-secret",
      name: "Bound agent",
      types: ["refund"],
      credential: { method: "client_secret_post" },
      binding: "mtls",
    });
    assert.ok("secret" in added);
    const config = await client.discovery(
      new URL(listeners.issuer),
      "agent-secret",
      added.secret,
      undefined,
      {
        [client.customFetch]: listeners.createFetch(ours) as client.CustomFetch,
      },
    );
    config[client.customFetch] = listeners.createFetch(ours) as client.CustomFetch;
    const asked = await approved(config, "M-2");
    await assert.rejects(
      client.pollBackchannelAuthenticationGrant(config, asked),
      (error) => error instanceof client.ResponseBodyError && error.error === "invalid_request",
    );
    const metadata = { client_secret: added.secret, use_mtls_endpoint_aliases: true };
    const aliased = new client.Configuration(config.serverMetadata(), "agent-secret", metadata);
    aliased[client.customFetch] = listeners.createFetch(ours) as client.CustomFetch;
    const { access_token } = await client.pollBackchannelAuthenticationGrant(aliased, asked);
    assert.deepEqual(decodeJwt(access_token).cnf, { "x5t#S256": ours.thumbprint });
  });

  test("rejects a DPoP proof for another URL than the listener's", async () => {
    const config = await configure("agent-dpop");
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair());
    const asked = await approved(config, "M-3");
    const granted = await client.pollBackchannelAuthenticationGrant(config, asked, undefined, { DPoP });
    assert.equal(granted.token_type, "dpop");
    const key = await createProofKey();
    const elsewhere = await key.prove({ htu: "https://localhost:1/oauth/token", now: Date.now() });
    const refused = await listeners.createFetch(ours)(`${listeners.mtls}/oauth/token`, {
      method: "POST",
      headers: { dpop: elsewhere },
      body: new URLSearchParams({
        client_id: "agent-dpop",
        grant_type: "urn:openid:params:grant-type:ciba",
        auth_req_id: asked.auth_req_id,
      }),
    });
    assert.equal((await refused.json()).error, "invalid_dpop_proof");
  });
});
