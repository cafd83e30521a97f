/**
 * `openid-client` and `oauth4webapi`, unmodified, over real TLS: all client authentication methods, poll and ping, signed
 * requests, DPoP.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { refund } from "@countersign/testing/server/deployment";
import { createTlsFetch } from "@countersign/testing/server/tls-fetch";
import { exportJWK, generateKeyPair } from "jose";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { createSecretSeal } from "../../packages/server/src/crypto/seal.ts";
import type { NewAgent } from "../../packages/server/src/usecase/client/client-lifecycle.ts";
import { type Client, type ClientEnv, openClientEnv } from "./client-env.ts";

let env: ClientEnv;
let fetchIt: client.CustomFetch;
let pair: CryptoKeyPair;
let keys: NonNullable<NewAgent["keys"]>;
before(async () => {
  env = await openClientEnv();
  fetchIt = createTlsFetch({ ca: env.authority }) as client.CustomFetch;
  pair = await generateKeyPair("ES256");
  keys = { from: "registration", jwks: [{ ...(await exportJWK(pair.publicKey)), alg: "ES256" } as never] };
});
after(async () => {
  assert.deepEqual(env.deployment.faults, []);
  await env.close();
});

const cibaGrant = "urn:openid:params:grant-type:ciba";
let orders = 0;
const wish = () => {
  orders += 1;
  const details = [{ ...refund, order: `C-${orders}` }];
  return {
    details,
    parameters: {
      scope: "openid",
      login_hint: "ada@example.com",
      binding_message: "Ticket 5512",
      authorization_details: JSON.stringify(details),
    },
  };
};

async function discover({ id, secret }: Client, authentication: client.ClientAuth) {
  const config = await client.discovery(new URL(env.issuer), id, secret || undefined, authentication, {
    [client.customFetch]: fetchIt,
  });
  config[client.customFetch] = fetchIt;
  return config;
}

const ways: readonly (readonly [string, () => Promise<readonly [Client, client.ClientAuth]>])[] = [
  [
    "client_secret_basic",
    async () => {
      const added = await env.add({ credential: { method: "client_secret_basic" } });
      return [added, client.ClientSecretBasic(added.secret)];
    },
  ],
  [
    "client_secret_post",
    async () => {
      const added = await env.add({ credential: { method: "client_secret_post" } });
      return [added, client.ClientSecretPost(added.secret)];
    },
  ],
  [
    "client_secret_jwt",
    async () => {
      const { seal } = createSecretSeal(env.deployment.rootKey);
      const added = await env.add({ credential: { method: "client_secret_jwt", seal } });
      return [added, client.ClientSecretJwt(added.secret)];
    },
  ],
  [
    "private_key_jwt",
    async () => {
      const added = await env.add({ credential: { method: "private_key_jwt" }, keys });
      return [added, client.PrivateKeyJwt(pair.privateKey)];
    },
  ],
];
describe("openid-client", () => {
  for (const [name, enter] of ways)
    test(`requests, polls and receives the details as ${name}`, async () => {
      const [added, authentication] = await enter();
      const config = await discover(added, authentication);
      const { details, parameters } = wish();
      const asked = await client.initiateBackchannelAuthentication(config, parameters);
      const polled = env.polled();
      const granting = client.pollBackchannelAuthenticationGrant(config, asked);
      await polled;
      await env.decideNext(added.id, "approve");
      const granted = await granting;
      assert.deepEqual(granted.authorization_details, details);
      assert.equal(granted.claims()?.sub, env.ada.approver);
    });

  test("receives access_denied after a denial, and invalid_grant after redemption", async () => {
    const added = await env.add({ credential: { method: "client_secret_post" } });
    const config = await discover(added, client.ClientSecretPost(added.secret));
    const refusedAs = async (error: string, auth_req_id: string) =>
      await assert.rejects(
        client.genericGrantRequest(config, cibaGrant, { auth_req_id }),
        (thrown) => thrown instanceof client.ResponseBodyError && thrown.error === error,
      );
    const denied = await client.initiateBackchannelAuthentication(config, wish().parameters);
    await env.decideNext(added.id, "deny", "Not now");
    await refusedAs("access_denied", denied.auth_req_id);
    const approved = await client.initiateBackchannelAuthentication(config, wish().parameters);
    await env.decideNext(added.id, "approve");
    const { auth_req_id } = approved;
    assert.equal(
      (await client.genericGrantRequest(config, cibaGrant, { auth_req_id })).refresh_token,
      undefined,
    );
    await refusedAs("invalid_grant", auth_req_id);
  });

  test("receives a ping, and redeems with one token request", async () => {
    const { port, certificate, key } = await env.reserve();
    const { createServer } = await import("node:https");
    const added = await env.add({
      credential: { method: "private_key_jwt" },
      keys,
      delivery: { mode: "ping", endpoint: `https://localhost:${port}/ping` },
    });
    const config = await discover(added, client.PrivateKeyJwt(pair.privateKey));
    const token = client.randomState();
    const pinged = Promise.withResolvers<{ authorization: string | undefined; body: unknown }>();
    const receiver = createServer({ cert: certificate, key }, async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.writeHead(204).end();
      pinged.resolve({ authorization: request.headers.authorization, body: JSON.parse(body) });
    });
    await new Promise<void>((resolve) => receiver.listen(port, "127.0.0.1", resolve));
    try {
      const { details, parameters } = wish();
      const asked = await client.initiateBackchannelAuthentication(config, {
        ...parameters,
        client_notification_token: token,
      });
      await env.decideNext(added.id, "approve");
      const { auth_req_id } = asked;
      assert.deepEqual(await pinged.promise, { authorization: `Bearer ${token}`, body: { auth_req_id } });
      const granted = await client.genericGrantRequest(config, cibaGrant, { auth_req_id });
      assert.deepEqual(granted.authorization_details, details);
    } finally {
      receiver.closeAllConnections();
      await new Promise((resolve) => receiver.close(resolve));
    }
  });

  test("sends a request signed with oauth4webapi", async () => {
    const added = await env.add({
      credential: { method: "private_key_jwt" },
      keys,
      requestAlgorithm: "ES256",
    });
    const config = await discover(added, client.PrivateKeyJwt(pair.privateKey));
    const { details, parameters } = wish();
    const server = config.serverMetadata() as oauth.AuthorizationServer;
    const request = await oauth.issueRequestObject(
      server,
      { client_id: added.id },
      parameters,
      pair.privateKey,
    );
    const asked = await client.initiateBackchannelAuthentication(config, { request });
    await env.decideNext(added.id, "approve");
    const granted = await client.genericGrantRequest(config, cibaGrant, { auth_req_id: asked.auth_req_id });
    assert.deepEqual(granted.authorization_details, details);
    await assert.rejects(client.initiateBackchannelAuthentication(config, wish().parameters), (error) => {
      assert.ok(error instanceof client.ResponseBodyError);
      assert.equal(error.error, "invalid_request", "who signs its requests signs all of them");
      return true;
    });
  });

  test("binds its token to a DPoP key", async () => {
    const added = await env.add({ credential: { method: "client_secret_basic" }, binding: "dpop" });
    const config = await discover(added, client.ClientSecretBasic(added.secret));
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
    const asked = await client.initiateBackchannelAuthentication(config, wish().parameters);
    const polled = env.polled();
    const granting = client.pollBackchannelAuthenticationGrant(config, asked, undefined, { DPoP });
    await polled;
    await env.decideNext(added.id, "approve");
    const granted = await granting;
    assert.equal(granted.token_type, "dpop");
    const { cnf } = JSON.parse(Buffer.from(granted.access_token.split(".")[1] ?? "", "base64url").toString());
    assert.equal(cnf.jkt, await DPoP.calculateThumbprint());
  });
});

describe("oauth4webapi", () => {
  test("requests and redeems step by step, and receives a denial", async () => {
    const added = await env.add({ credential: { method: "client_secret_post" } });
    const options = { [oauth.customFetch]: fetchIt as typeof fetch };
    const issuer = new URL(env.issuer);
    const server = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, options),
    );
    const self: oauth.Client = { client_id: added.id };
    const authentication = oauth.ClientSecretPost(added.secret);
    for (const verdict of ["approve", "deny"] as const) {
      const { details, parameters } = wish();
      const response = await oauth.backchannelAuthenticationRequest(
        server,
        self,
        authentication,
        parameters,
        options,
      );
      const { auth_req_id } = await oauth.processBackchannelAuthenticationResponse(server, self, response);
      const redeem = async () =>
        await oauth.processBackchannelAuthenticationGrantResponse(
          server,
          self,
          await oauth.backchannelAuthenticationGrantRequest(
            server,
            self,
            authentication,
            auth_req_id,
            options,
          ),
        );
      await assert.rejects(redeem, { error: "authorization_pending" });
      await env.decideNext(added.id, verdict);
      if (verdict === "approve") assert.deepEqual((await redeem()).authorization_details, details);
      else await assert.rejects(redeem, { error: "access_denied" });
    }
  });
});
