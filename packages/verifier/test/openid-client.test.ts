/** Unmodified `openid-client` binds its token to a key with DPoP, and the verifier requires a proof by the key. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { createVerifier, type Verifier } from "@countersign/verifier";
import { countersigned } from "@countersign/verifier/hono";
import { Hono } from "hono";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { addAgent } from "../../server/src/usecase/client/client-lifecycle.ts";

const api = "https://refunds.example";
const deployment = useDeployment({ now: Date.now });
let config: client.Configuration;
/** Path and response status of each request to the server. */
let answered: string[] = [];

beforeTests(async () => {
  const added = await addAgent(deployment.server.store, {
    id: "agent-dpop",
    name: "Bound agent",
    types: ["refund"],
    credential: { method: "client_secret_post" },
    binding: "dpop",
  });
  assert.ok("secret" in added);
  const metadata = { client_secret: added.secret };
  config = await client.discovery(new URL(issuer), "agent-dpop", metadata, undefined, {
    [client.customFetch]: network,
    execute: [client.allowInsecureRequests],
  });
  config[client.customFetch] = network;
});

let served: { fetch: (request: Request) => Response | Promise<Response> } | undefined;
const network: client.CustomFetch = async (url, options) => {
  const request = new Request(url, options as RequestInit);
  if (url.startsWith(api)) return await served!.fetch(request);
  const response = await deployment.server.fetch(request);
  answered.push(`${new URL(url).pathname} ${response.status}`);
  return response;
};

function serve(verifier: Verifier): void {
  served = new Hono().post(
    "/refunds",
    countersigned(verifier, async (c) => {
      const { order, amount, currency } = await c.req.json();
      return { type: "refund", order, amount, currency };
    }),
    (c) => c.json({ refunded: c.get("countersign").action.order }),
  );
}
const newVerifier = (requireProofNonce = false) =>
  createVerifier({
    issuer,
    audience: api,
    clientId: deployment.api.id,
    clientSecret: deployment.api.secret,
    requireProofNonce,
    fetch: (input, init) => network(String(input), init as never),
  });

async function ask(order: string) {
  const asked = await client.initiateBackchannelAuthentication(config, {
    scope: "openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify([{ ...refund, order }]),
  });
  // The library waits the interval in real time, so use a short one.
  return { ...asked, interval: 0.01 };
}
const newKey = async () => client.getDPoPHandle(config, await client.randomDPoPKeyPair());
function call(token: string, order: string, DPoP: client.DPoPHandle) {
  const body = JSON.stringify({ ...refund, order });
  const headers = new Headers({ "content-type": "application/json" });
  return client.fetchProtectedResource(config, token, new URL(`${api}/refunds`), "POST", body, headers, {
    DPoP,
  });
}

describe("openid-client", () => {
  test("polls with proofs, receives a bound token and spends it once", async () => {
    serve(newVerifier());
    const key = await newKey();
    const asked = await ask("P-1");
    const polled = client.pollBackchannelAuthenticationGrant(config, asked, undefined, { DPoP: key });
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    const { access_token, token_type } = await polled;
    assert.equal(token_type, "dpop");

    const stolen = await served!.fetch(
      new Request(`${api}/refunds`, { method: "POST", headers: { authorization: `Bearer ${access_token}` } }),
    );
    assert.equal(stolen.status, 401);
    await assert.rejects(call(access_token, "P-1", await newKey()), client.WWWAuthenticateChallengeError);
    const spent = await call(access_token, "P-1", key);
    assert.deepEqual(await spent.json(), { refunded: "P-1" });
    await assert.rejects(call(access_token, "P-1", key), client.WWWAuthenticateChallengeError);
  });

  test("receives invalid_dpop_proof without a key if the agent must bind its tokens", async () => {
    const asked = await ask("P-2");
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    await assert.rejects(
      client.pollBackchannelAuthenticationGrant(config, asked),
      (error) => error instanceof client.ResponseBodyError && error.error === "invalid_dpop_proof",
    );
  });

  test("retries once with the nonce of the server, and once with that of the API", async (t) => {
    await deployment.restart({ dpop: { require_nonce: true } });
    t.after(() => deployment.restart());
    serve(newVerifier(true));
    const key = await newKey();
    const asked = await ask("P-3");
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    answered = [];
    const { access_token } = await client.pollBackchannelAuthenticationGrant(config, asked, undefined, {
      DPoP: key,
    });
    assert.deepEqual(answered, ["/oauth/token 400", "/oauth/token 200"]);
    assert.deepEqual(await (await call(access_token, "P-3", key)).json(), { refunded: "P-3" });
  });

  test("revokes its token, and introspection then returns inactive", async () => {
    const key = await newKey();
    const asked = await ask("P-4");
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    const { access_token } = await client.genericGrantRequest(
      config,
      "urn:openid:params:grant-type:ciba",
      { auth_req_id: asked.auth_req_id },
      { DPoP: key },
    );
    const apiConfig = new client.Configuration(
      config.serverMetadata(),
      deployment.api.id,
      deployment.api.secret,
    );
    client.allowInsecureRequests(apiConfig);
    apiConfig[client.customFetch] = network;
    const before = await client.tokenIntrospection(apiConfig, access_token);
    assert.deepEqual([before.active, before.token_type, before.sub], [true, "DPoP", deployment.ada.approver]);
    assert.match(String(before.cnf?.jkt), /^[\w-]{43}$/);
    await client.tokenRevocation(config, access_token);
    assert.deepEqual(await client.tokenIntrospection(apiConfig, access_token), { active: false });
  });

  test("validates the bound token by its key's proof alone, as an API (oauth4webapi)", async () => {
    const key = await newKey();
    const asked = await ask("P-5");
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    const grant = { auth_req_id: asked.auth_req_id };
    const { access_token } = await client.genericGrantRequest(
      config,
      "urn:openid:params:grant-type:ciba",
      grant,
      { DPoP: key },
    );
    const validated: unknown[] = [];
    served = {
      fetch: async (request) => {
        const claims = await oauth.validateJwtAccessToken(config.serverMetadata(), request, api, {
          requireDPoP: true,
          [oauth.allowInsecureRequests]: true,
          [oauth.customFetch]: network as never,
        });
        validated.push(claims.client_id, claims.cnf);
        return Response.json({});
      },
    };
    assert.equal((await call(access_token, "P-5", key)).status, 200);
    assert.deepEqual(validated, ["agent-dpop", { jkt: await key.calculateThumbprint() }]);
    await assert.rejects(
      async () => call(access_token, "P-5", await newKey()),
      (error: Error) => /confirmation mismatch/.test(String(error.cause)),
    );
  });
});
