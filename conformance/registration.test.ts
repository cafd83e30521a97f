/** Dynamic client registration and its management (RFC 7591, RFC 7592, CIBA §4). */
import assert from "node:assert/strict";
import { cibaGrantType } from "@countersign/protocol";
import { decodeJwt, exportJWK, generateKeyPair } from "jose";
import { createInitialAccessToken } from "../packages/server/src/usecase/client/initial-access-token.ts";
import type { CallResult } from "./call.ts";
import { basic, seconds, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({ https: true, registration: true });
const { registration_endpoint } = await world.metadata();
const badMetadata = [400, "invalid_client_metadata"];
const pair = await generateKeyPair("ES256", { extractable: true });
const jwk = { ...(await exportJWK(pair.publicKey)), kid: "own-1" };

/** Creates an initial access token for one registration. */
async function allowance(types = ["refund", "calendar.mute"]): Promise<string> {
  const expiresAt = Date.now() + 3_600_000;
  return (await createInitialAccessToken(world.store, { name: "Allowed desk", types, uses: 1, expiresAt }))
    .token;
}

const send = (
  method: string,
  url: string,
  token: string | undefined,
  metadata?: unknown,
): Promise<CallResult> =>
  world.call(url, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(metadata !== undefined && { "content-type": "application/json" }),
    },
    ...(metadata !== undefined && { body: JSON.stringify(metadata) }),
  });
const register = async (metadata: unknown = {}, token?: string) =>
  await send("POST", registration_endpoint, token ?? (await allowance()), metadata);
async function registered(metadata: unknown = {}) {
  const answer = await register(metadata);
  assert.equal(answer.status, 201, answer.text);
  const {
    client_id,
    client_secret,
    registration_access_token: token,
    registration_client_uri: url,
  } = answer.body;
  return { id: client_id, secret: client_secret, token, url, body: answer.body };
}

scenario(
  "a registration returns 201, a unique id, a secret with its expiry, and the registered metadata",
  [
    "rfc7591-3-1",
    "rfc7591-3.1-1",
    "rfc7591-3.2.1-1",
    "rfc7591-3.2.1-2",
    "rfc7591-3.2.1-3",
    "rfc7591-3.2.1-4",
    "rfc7592-3-1",
    "ciba-4-7",
    "ciba-4-8",
  ],
  async () => {
    assert.match(registration_endpoint, /^https:/);
    const metadata = {
      grant_types: [cibaGrantType],
      token_endpoint_auth_method: "client_secret_post",
      backchannel_token_delivery_mode: "poll",
      authorization_details_types: ["refund"],
    };
    const { status, headers, body } = await register(metadata);
    assert.equal(status, 201);
    assert.match(headers["content-type"] ?? "", /^application\/json/);
    assert.match(headers["cache-control"] ?? "", /no-store/);
    for (const [name, value] of Object.entries(metadata)) assert.deepEqual(body[name], value, name);
    assert.ok(body.client_secret.length >= 32);
    assert.equal(typeof body.client_secret_expires_at, "number");
    assert.ok(body.registration_access_token);
    assert.match(body.registration_client_uri, /^https:/);
    assert.notEqual((await registered()).id, body.client_id);
    // Defaults are returned as well.
    const { body: silent } = await registered();
    assert.deepEqual([silent.backchannel_token_delivery_mode, silent.grant_types], ["poll", [cibaGrantType]]);
  },
);

scenario(
  "a registration requires an unused initial access token",
  ["rfc7591-3-2", "rfc7591-3.2.2-2"],
  async () => {
    const token = await allowance();
    assert.equal((await register({}, token)).status, 201);
    for (const [given, url] of [
      [undefined, registration_endpoint],
      [token, registration_endpoint],
      ["guess", registration_endpoint],
    ]) {
      const answer = await send("POST", url, given, {});
      assert.equal(answer.status, 401);
      assert.match(String(answer.headers["www-authenticate"]), /^Bearer/);
    }
  },
);

scenario(
  "ping and push require an https endpoint",
  ["ciba-4-9", "ciba-4-10", "rfc7591-3.2.2-1"],
  async () => {
    for (const mode of ["ping", "push"]) {
      const wrong = [undefined, "http://agent.example/cb", "agent.example", "https://agent.example/#x"];
      for (const endpoint of wrong) {
        const metadata = {
          backchannel_token_delivery_mode: mode,
          backchannel_client_notification_endpoint: endpoint,
        };
        assert.deepEqual(
          refusal(await register({ ...metadata, scope: "openid calendar.mute" })),
          badMetadata,
          `${mode} ${endpoint}`,
        );
      }
    }
    const { body } = await registered({
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: "https://agent.example/cb",
    });
    assert.equal(body.backchannel_client_notification_endpoint, "https://agent.example/cb");
    assert.deepEqual(refusal(await register({ backchannel_token_delivery_mode: "pigeon" })), badMetadata);
    assert.deepEqual(refusal(await register({ grant_types: ["authorization_code"] })), badMetadata);
  },
);

scenario("jwks and jwks_uri exclude each other", ["rfc7591-2-1"], async () => {
  const both = { jwks: { keys: [jwk] }, jwks_uri: "https://agent.example/jwks" };
  assert.deepEqual(refusal(await register(both)), badMetadata);
  assert.deepEqual(refusal(await register({ token_endpoint_auth_method: "private_key_jwt" })), badMetadata);
});

scenario("tls_client_auth requires exactly one name", ["rfc8705-2.1.2-1"], async () => {
  const method = { token_endpoint_auth_method: "tls_client_auth" };
  const two = { tls_client_auth_subject_dn: "CN=agent", tls_client_auth_san_dns: "agent.example" };
  for (const names of [{}, two])
    assert.deepEqual(refusal(await register({ ...method, ...names })), badMetadata);
  assert.equal((await register({ ...method, tls_client_auth_san_dns: "agent.example" })).status, 201);
});

scenario("unknown members are ignored", ["rfc7591-2-2"], async () => {
  const { body } = await registered({ colour: "blue", "https://agent.example/x": { y: 1 } });
  assert.equal(body.colour, undefined);
});

scenario("an agent authenticates with its registered method only", ["rfc7591-2-3", "ciba-4-11"], async () => {
  const { id } = await registered({
    token_endpoint_auth_method: "private_key_jwt",
    jwks: { keys: [jwk] },
    authorization_details_types: ["refund"],
  });
  const key = await exportJWK(pair.privateKey);
  const agent = {
    id,
    method: "private_key_jwt",
    algorithm: "ES256",
    key: { ...key, kid: "own-1" },
  } as const;
  const answer = await world.ask(agent);
  assert.equal(answer.status, 200, answer.text);
  const posted = { form: { client_id: id, client_secret: "x" }, headers: {} };
  assert.deepEqual(refusal(await world.ask(agent, {}, { proof: posted })), [401, "invalid_client"]);
  // Without a registered request algorithm it does not sign requests.
  const claims = { iss: id, aud: world.issuer, exp: seconds() + 60, scope: "openid" };
  const form = { scope: undefined, login_hint: undefined, request: await signAs(agent, claims) };
  assert.deepEqual(refusal(await world.ask(agent, form)), [400, "invalid_request"]);
});

scenario(
  "descriptive metadata of an agent is not shown on cards and grants nothing",
  ["rfc7591-5-1"],
  async () => {
    const { id, secret, body } = await registered({
      client_name: "The bank",
      token_endpoint_auth_method: "client_secret_basic",
    });
    assert.equal(body.client_name, "Allowed desk");
    const proof = { form: {}, headers: basic(id, secret) };
    const agent = { ...world.agent("agent"), id };
    const authReqId = await world.asked(agent, {}, { proof });
    const { body: shown } = await world.call(world.headless.url.replace("{auth_req_id}", authReqId));
    assert.equal(shown.agent.name, "Allowed desk");
    const more = await register({ authorization_details_types: ["refund"], scope: "openid calendar.close" });
    assert.deepEqual(refusal(more), badMetadata);
  },
);

scenario(
  "only the registration access token reads a registration",
  ["rfc7592-2-1", "rfc7592-2-2", "rfc7592-2.1-1"],
  async () => {
    const [own, other] = [await registered(), await registered()];
    const read = await send("GET", own.url, own.token);
    assert.equal(read.status, 200);
    assert.deepEqual(
      [read.body.client_id, read.body.token_endpoint_auth_method],
      [own.id, "client_secret_basic"],
    );
    for (const token of [undefined, "guess", other.token]) {
      const refused = await send("GET", own.url, token);
      assert.equal(refused.status, 401);
      assert.match(String(refused.headers["www-authenticate"]), /^Bearer/);
    }
  },
);

scenario(
  "PUT replaces the registration, requires client_id, and is validated like a new one",
  ["rfc7592-2.2-1", "rfc7592-2.2-2"],
  async () => {
    const { id, url, token } = await registered({
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: "https://agent.example/cb",
    });
    for (const metadata of [{}, { client_id: "agent" }])
      assert.deepEqual(refusal(await send("PUT", url, token, metadata)), badMetadata);
    const http = {
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: "http://agent.example/",
    };
    assert.deepEqual(refusal(await send("PUT", url, token, { client_id: id, ...http })), badMetadata);
    assert.equal((await send("GET", url, token)).body.backchannel_token_delivery_mode, "ping");
    const changed = await send("PUT", url, token, { client_id: id });
    assert.equal(changed.status, 200, changed.text);
    assert.equal(changed.body.backchannel_token_delivery_mode, "poll");
    assert.equal(changed.body.backchannel_client_notification_endpoint, undefined);
  },
);

scenario(
  "DELETE removes the agent and invalidates its credentials and token",
  ["rfc7592-2.3-1"],
  async () => {
    const { id, secret, url, token } = await registered({ authorization_details_types: ["refund"] });
    const agent = { ...world.agent("agent"), id };
    const proof = { form: {}, headers: basic(id, secret) };
    const { access_token } = (await world.approved(agent, {}, { proof })).body;
    assert.equal(decodeJwt(access_token).client_id, id);
    const removed = await send("DELETE", url, token);
    assert.deepEqual([removed.status, removed.text], [204, ""]);
    assert.deepEqual(refusal(await world.ask(agent, {}, { proof })), [401, "invalid_client"]);
    assert.equal((await send("GET", url, token)).status, 401);
    assert.deepEqual((await world.introspect("refunds", access_token)).body, { active: false });
  },
);
