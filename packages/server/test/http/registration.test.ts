/** Agents that register themselves: RFC 7591 and RFC 7592 over HTTP. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  type Deployment,
  deploy,
  type HttpReply,
  issuer,
  refund,
  toBasicAuth,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { pauseAgent } from "../../src/usecase/client/client-lifecycle.ts";
import {
  createInitialAccessToken,
  revokeInitialAccessToken,
} from "../../src/usecase/client/initial-access-token.ts";
import { updateAgent } from "../../src/usecase/client/update-agent.ts";

const publicJwk = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });

const deployment = useDeployment({ config: { registration: { enabled: true } } });

async function allowed(
  changed: Partial<Parameters<typeof createInitialAccessToken>[1]> = {},
): Promise<string> {
  const expiresAt = deployment.clock.now + 3_600_000;
  const allowance = {
    name: "Refund desk",
    types: ["refund", "calendar.clear"],
    uses: 1,
    expiresAt,
    ...changed,
  };
  return (await createInitialAccessToken(deployment.server.store, allowance)).token;
}

async function send(method: string, path: string, token?: string, metadata?: unknown): Promise<HttpReply> {
  const body = typeof metadata === "string" ? metadata : JSON.stringify(metadata);
  const response = await deployment.request(path.replace(issuer, ""), {
    method,
    headers: {
      ...(metadata !== undefined && { "content-type": "application/json" }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(metadata !== undefined && { body }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

const register = (token: string | undefined, metadata: unknown = {}) =>
  send("POST", "/register", token, metadata);

async function registered(metadata: object = {}, types = ["refund", "calendar.clear"]) {
  const answer = await register(await allowed({ types }), metadata);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  const { registration_client_uri: uri, registration_access_token: token } = answer.body;
  return { ...answer, uri: uri as string, token: token as string, id: answer.body.client_id as string };
}

async function agentOf(id: string) {
  return (await deployment.server.store.read("agent", id))?.record;
}

describe("POST /register", () => {
  test("registers an agent with an initial access token, which can then send requests", async () => {
    const { status, headers, body } = await registered({ token_endpoint_auth_method: "client_secret_post" });
    assert.equal(status, 201);
    assert.equal(headers.get("cache-control"), "no-store");
    const { client_id, client_secret, registration_access_token, ...rest } = body;
    assert.match(client_secret, /^[\w-]{43}$/);
    assert.match(registration_access_token, /^[\w-]{43}$/);
    assert.deepEqual(rest, {
      client_id_issued_at: deployment.clock.now / 1000,
      client_secret_expires_at: 0,
      registration_client_uri: `${issuer}/register/${client_id}`,
      client_name: "Refund desk",
      grant_types: [cibaGrantType],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_post",
      backchannel_token_delivery_mode: "poll",
      backchannel_user_code_parameter: false,
      dpop_bound_access_tokens: false,
      tls_client_certificate_bound_access_tokens: false,
      id_token_signed_response_alg: "ES256",
      subject_type: "public",
      authorization_details_types: ["refund"],
      scope: "openid calendar.clear",
    });
    const asked = await deployment.post("/bc-authorize", {
      client_id,
      client_secret,
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([refund]),
    });
    assert.equal(asked.status, 200, JSON.stringify(asked.body));
  });

  test("rejects a missing, unknown, used, expired or revoked initial access token", async () => {
    const none = await register(undefined);
    assert.deepEqual([none.status, none.body.error], [401, "invalid_token"]);
    assert.equal(none.headers.get("www-authenticate"), 'Bearer realm="countersign"');
    const used = await allowed();
    assert.equal((await register(used)).status, 201);
    const short = await allowed({ expiresAt: deployment.clock.now + 1000 });
    const withdrawn = await createInitialAccessToken(deployment.server.store, {
      name: "Nobody",
      types: ["refund"],
      uses: 1,
      expiresAt: deployment.clock.now + 3_600_000,
    });
    await revokeInitialAccessToken(deployment.server.store, withdrawn.id);
    deployment.clock.now += 1000;
    for (const token of [
      "guess",
      used,
      short,
      withdrawn.token,
      toBasicAuth(deployment.agent).authorization,
    ]) {
      const answer = await register(token);
      assert.deepEqual([answer.status, answer.body.error], [401, "invalid_token"], token);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
  });

  test("accepts an initial access token only as often as it permits, also concurrently", async () => {
    for (const uses of [1, 3]) {
      const before = (await deployment.server.store.list("agent")).length;
      const token = await allowed({ uses });
      const answers = await Promise.all(Array.from({ length: 10 }, () => register(token)));
      assert.equal(answers.filter(({ status }) => status === 201).length, uses);
      assert.equal(answers.filter(({ status }) => status === 401).length, 10 - uses);
      assert.equal((await deployment.server.store.list("agent")).length, before + uses);
    }
  });

  test("ignores a chosen card name, and rejects action types that the token does not permit", async () => {
    const { id, body } = await registered({ client_name: "Payroll (official)" });
    assert.equal(body.client_name, "Refund desk");
    assert.equal((await agentOf(id))?.name, "Refund desk");
    const token = await allowed({ types: ["refund"] });
    for (const metadata of [
      { authorization_details_types: ["promote"] },
      { authorization_details_types: ["refund", "signed-refund"] },
      { scope: "openid calendar.clear" },
    ]) {
      const answer = await register(token, metadata);
      assert.deepEqual([answer.status, answer.body.error], [400, "invalid_client_metadata"]);
    }
    // What was refused used nothing up.
    assert.deepEqual((await register(token)).body.authorization_details_types, ["refund"]);
  });
});

describe("/register/:id", () => {
  test("returns the registration without its secret, for its own token only", async () => {
    const one = await registered();
    const two = await registered();
    const own = await send("GET", one.uri, one.token);
    assert.equal(own.status, 200);
    const { client_secret: _, client_secret_expires_at: __, ...rest } = one.body;
    assert.deepEqual(own.body, rest);
    for (const [uri, token] of [
      [one.uri, two.token],
      [one.uri, undefined],
      [`${issuer}/register/agent_unknown`, one.token],
      [`${issuer}/register/agent-1`, one.token],
      [`${issuer}/register/agent-1`, ""],
    ] as const) {
      const answer = await send("GET", uri, token);
      assert.deepEqual([answer.status, answer.body.error], [401, "invalid_token"]);
    }
  });

  test("replaces the whole registration after validation, and logs the change (T38)", async () => {
    const { id, uri, token, body } = await registered({
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: "https://agent.example/ping",
      authorization_details_types: ["refund"],
      scope: "openid",
    });
    const before = await agentOf(id);
    for (const changed of [
      { backchannel_client_notification_endpoint: "http://agent.example/ping" },
      { backchannel_client_notification_endpoint: "https://127.0.0.1/" },
      { backchannel_token_delivery_mode: "push" },
      { authorization_details_types: ["promote"] },
      { token_endpoint_auth_method: "private_key_jwt" },
    ]) {
      const metadata = { client_id: id, ...pick(body), ...changed };
      const answer = await send("PUT", uri, token, metadata);
      assert.deepEqual(
        [answer.status, answer.body.error],
        [400, "invalid_client_metadata"],
        JSON.stringify(changed),
      );
    }
    assert.deepEqual(await agentOf(id), before);

    const jwks = { keys: [publicJwk()] };
    const metadata = { client_id: id, token_endpoint_auth_method: "private_key_jwt", jwks, scope: "openid" };
    const answer = await send("PUT", uri, token, metadata);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(answer.body.backchannel_token_delivery_mode, "poll");
    assert.equal(answer.body.backchannel_client_notification_endpoint, undefined);
    assert.equal(answer.body.client_secret, undefined);
    assert.deepEqual((await agentOf(id))?.keys, { from: "registration", jwks: jwks.keys });
    const [newest] = await deployment.server.store.log.newest(1);
    const { event, agent, actor, facts } = JSON.parse(newest?.line ?? "{}");
    assert.deepEqual([event, agent, facts.by], ["agent.changed", id, "registration"]);
    assert.deepEqual(actor, { type: "agent", id, via: "registration" });
    assert.deepEqual(facts.changed.jwks, jwks);
    assert.equal(facts.changed.client_secret, null);
  });

  test("issues a new secret on a change back to a secret method, and keeps it otherwise", async () => {
    const { id, uri, token, body } = await registered();
    const kept = await send("PUT", uri, token, {
      client_id: id,
      client_secret: body.client_secret,
      token_endpoint_auth_method: "client_secret_post",
    });
    assert.deepEqual([kept.status, kept.body.client_secret], [200, undefined]);
    const hmac = await send("PUT", uri, token, {
      client_id: id,
      token_endpoint_auth_method: "client_secret_jwt",
    });
    assert.match(hmac.body.client_secret, /^[\w-]{43}$/);
    assert.notEqual(hmac.body.client_secret, body.client_secret);
    const same = await send("PUT", uri, token, {
      client_id: id,
      client_secret: hmac.body.client_secret,
      token_endpoint_auth_method: "client_secret_jwt",
    });
    assert.deepEqual([same.status, same.body.client_secret], [200, undefined]);
  });

  test("requires client_id, and rejects properties that the server assigns", async () => {
    const { id, uri, token, body } = await registered();
    for (const metadata of [
      {},
      { client_id: "agent-1" },
      { client_id: id, client_secret: "another" },
      { client_id: id, registration_access_token: body.registration_access_token },
      { client_id: id, registration_client_uri: uri },
      { client_id: id, client_secret_expires_at: 0 },
      { client_id: id, client_id_issued_at: 0 },
    ]) {
      const answer = await send("PUT", uri, token, metadata);
      assert.deepEqual(
        [answer.status, answer.body.error],
        [400, "invalid_client_metadata"],
        JSON.stringify(metadata),
      );
    }
  });

  test("does not restore what the operator removed", async () => {
    const { id, uri, token } = await registered();
    const held = await deployment.server.store.read("agent", id);
    assert.ok(held);
    const next = { ...held.record, types: ["refund"], credential: held.record.credential as never };
    await updateAgent(deployment.server.store, held, next, { by: "command" });
    const answer = await send("PUT", uri, token, { client_id: id });
    assert.deepEqual([answer.body.authorization_details_types, answer.body.scope], [["refund"], "openid"]);
    const wider = await send("PUT", uri, token, { client_id: id, scope: "openid calendar.clear" });
    assert.equal(wider.status, 400);
  });

  test("rejects update and deletion by a paused agent, and returns 401 for a removed one", async () => {
    const { id, uri, token } = await registered();
    await pauseAgent(deployment.server.store, id, true);
    assert.equal((await send("GET", uri, token)).status, 200);
    for (const answer of [await send("PUT", uri, token, { client_id: id }), await send("DELETE", uri, token)])
      assert.deepEqual([answer.status, answer.body.error], [403, "access_denied"]);
    await pauseAgent(deployment.server.store, id, false);
    assert.equal((await send("DELETE", uri, token)).status, 204);
    assert.equal(await agentOf(id), undefined);
    for (const method of ["GET", "DELETE"]) assert.equal((await send(method, uri, token)).status, 401);
  });
});

describe("initial access tokens", () => {
  test("are stored as hashes, and stay valid after a restart", async () => {
    const { uri, token, id } = await registered();
    const initial = await allowed();
    await deployment.restart();
    assert.equal((await send("GET", uri, token)).status, 200);
    assert.equal((await register(initial)).status, 201);
    const everything = JSON.stringify([
      await deployment.server.store.list("initial_access_token"),
      await deployment.server.store.list("agent"),
      (await deployment.server.store.log.newest(1000)).map(({ line }) => line),
    ]);
    for (const secret of [token, initial]) assert.ok(!everything.includes(secret));
    assert.ok(everything.includes(id));
  });

  test("are removed after expiry, and the removal is logged", async () => {
    await allowed({ expiresAt: deployment.clock.now + 1000, name: "Late" });
    deployment.clock.now += 1001;
    await deployment.server.runJobs();
    const names = (await deployment.server.store.list("initial_access_token")).map(
      ({ record }) => record.name,
    );
    assert.ok(!names.includes("Late"));
    const events = (await deployment.server.store.log.newest(50)).map(({ line }) => JSON.parse(line).event);
    assert.ok(events.includes("initial_access_token.expired"));
  });
});

describe("registration", () => {
  test("is in metadata if it is enabled; otherwise the endpoint does not exist", async (t) => {
    const metadata = async (one: Deployment) =>
      await (await one.request("/.well-known/openid-configuration")).json();
    assert.equal((await metadata(deployment)).registration_endpoint, `${issuer}/register`);
    const off = await deploy();
    t.after(() => off.close());
    assert.equal((await metadata(off)).registration_endpoint, undefined);
    assert.equal((await off.request("/register", { method: "POST" })).status, 404);
  });

  test("uses the operator's name, also if client_name has a NUL or splits a character", async () => {
    for (const client_name of ["a\0b", `${"a".repeat(199)}\u{1f600}`])
      assert.equal((await registered({ client_name })).body.client_name, "Refund desk");
    assert.deepEqual(deployment.faultOperations, []);
  });
});

/** Returns the metadata of a registration response that a client sends in an update. */
function pick({ client_id_issued_at, client_secret_expires_at, ...body }: Record<string, unknown>) {
  const { registration_access_token, registration_client_uri, ...metadata } = body;
  return metadata;
}
