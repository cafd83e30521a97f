/** Ping and push delivery (CIBA §7.1, §9, §10.2, §10.3, §12). */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, beforeEach } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startReceiver } from "@countersign/testing/server/callback-receiver";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import { scenario } from "./scenario.ts";
import { type Form, openTestServer, refusal } from "./test-server.ts";

const certificates = await createCertificateAuthority();
const receiver = await startReceiver(certificates);
after(() => receiver.close());
const to = (path: string) => `${receiver.origin}${path}`;
const scopes = Array.from({ length: 20 }, (_, at) => `calendar.mute-${at}`);
const world = await openTestServer(
  {
    scopes,
    agents: [
      { id: "pinged", delivery: { mode: "ping", endpoint: to("/ping") } },
      { id: "pushed", delivery: { mode: "push", endpoint: to("/push") } },
      { id: "bound", binding: "dpop", delivery: { mode: "push", endpoint: to("/bound") } },
    ],
  },
  { certificates },
);
const [pinged, pushed] = [world.agent("pinged"), world.agent("pushed")];
const newToken = () => randomBytes(32).toString("base64url");

beforeEach(() => {
  receiver.received.length = 0;
  receiver.respond = (response) => response.writeHead(204).end();
});

/** Requests a new, reversible action. */
async function asked(by = pinged, changed: Form = {}) {
  const token = newToken();
  const form = { scope: `openid ${scopes.shift()}`, client_notification_token: token, ...changed };
  const answer = await world.ask(by, form);
  assert.equal(answer.status, 200, answer.text);
  return { authReqId: answer.body.auth_req_id as string, token, acknowledged: answer.body };
}

async function told(count = 1) {
  await receiver.waitForCount(count);
  return receiver.received.map((one) => ({ ...one, json: JSON.parse(one.body) }));
}

/** Returns the callbacks that were received for this request. */
const toldOf = (authReqId: string) =>
  receiver.received.filter(({ body }) => JSON.parse(body).auth_req_id === authReqId).map(({ path }) => path);

/** Waits in real time until a callback that is due would have been sent. */
const silence = () => setTimeout(1_200);

scenario("metadata names all three modes", ["ciba-4-1", "fapi-ciba-5.2.2-5"], async () => {
  const { backchannel_token_delivery_modes_supported: modes } = await world.metadata();
  assert.deepEqual([...modes].sort(), ["ping", "poll", "push"]);
});

scenario(
  "a ping is a POST of JSON with the bearer token and only the auth_req_id; the client then fetches the token",
  ["ciba-10.2-1", "ciba-10.2-2", "ciba-9-1", "ciba-9-2", "ciba-10-1"],
  async () => {
    const { authReqId, token } = await asked();
    await world.allow(authReqId);
    const [ping] = await told();
    assert.deepEqual([ping?.method, ping?.path], ["POST", "/ping"]);
    assert.match(ping?.headers["content-type"] ?? "", /^application\/json/);
    assert.equal(ping?.headers.authorization, `Bearer ${token}`);
    assert.deepEqual(ping?.json, { auth_req_id: authReqId });
    const answer = await world.poll(pinged, authReqId);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.body.access_token);
  },
);

scenario("a ping is sent on denial and on expiry", ["ciba-10.2-1"], async () => {
  const denied = await asked();
  await world.deny(denied.authReqId);
  assert.deepEqual((await told()).at(-1)?.json, { auth_req_id: denied.authReqId });
  assert.equal((await world.poll(pinged, denied.authReqId)).body.error, "access_denied");
  const late = await asked(pinged, { requested_expiry: "10" });
  world.advanceClock(10_000);
  assert.deepEqual((await told(2)).at(-1)?.json, { auth_req_id: late.authReqId });
  assert.equal((await world.poll(pinged, late.authReqId)).body.error, "expired_token");
});

scenario("a ping client may poll, and receives an interval", ["ciba-10.1-4", "ciba-7.3-8"], async () => {
  const { authReqId, acknowledged } = await asked();
  assert.ok(acknowledged.interval > 0);
  assert.equal((await world.poll(pinged, authReqId)).body.error, "authorization_pending");
  assert.equal((await world.poll(pinged, authReqId)).body.error, "slow_down");
  await world.allow(authReqId);
  assert.equal((await world.poll(pinged, authReqId)).status, 200);
});

scenario(
  "200 with any body counts as success, and nothing is sent again",
  ["ciba-10.2-3", "ciba-10.3.1-4"],
  async () => {
    receiver.respond = (response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("<p>Thank you</p>");
    const answered = [await asked(pinged), await asked(pushed)];
    for (const { authReqId } of answered) {
      await world.allow(authReqId);
      while (toldOf(authReqId).length === 0) await told(receiver.received.length + 1);
    }
    world.advanceClock(30_000);
    await silence();
    for (const { authReqId } of answered) assert.equal(toldOf(authReqId).length, 1);
  },
);

scenario("a redirect is not followed", ["ciba-10.2-4", "ciba-10.3.1-5"], async () => {
  receiver.respond = (response, { path }) =>
    path === "/elsewhere"
      ? response.writeHead(204).end()
      : response.writeHead(301, { location: to("/elsewhere") }).end();
  const answered = [await asked(pinged), await asked(pushed)];
  for (const { authReqId } of answered) await world.allow(authReqId);
  await silence();
  assert.deepEqual(
    answered.flatMap(({ authReqId }) => toldOf(authReqId)),
    ["/ping", "/push"],
  );
});

scenario(
  "ping and push require a notification token: bearer syntax, at most 1024 characters, enough entropy",
  ["ciba-7.1-5", "ciba-7.1-6", "ciba-7.1-7", "ciba-7.1-8"],
  async () => {
    const wrong = [
      undefined,
      "",
      "x",
      "a".repeat(21),
      "a".repeat(1025),
      `${newToken()} x`,
      `${newToken()}\r\nx: y`,
      `=${newToken()}`,
    ];
    for (const by of [pinged, pushed])
      for (const client_notification_token of wrong) {
        const answer = await world.ask(by, { scope: "openid calendar.mute", client_notification_token });
        assert.deepEqual(refusal(answer), [400, "invalid_request"], String(client_notification_token));
      }
    for (const client_notification_token of ["a".repeat(1024), `${"aZ09-._~+/".repeat(3)}==`])
      assert.equal(
        (await world.ask(pinged, { scope: "openid calendar.mute", client_notification_token })).status,
        200,
      );
  },
);

scenario(
  "a push is the token response with the auth_req_id, and an ID token bound to both",
  ["ciba-10.3.1-1", "ciba-10.3.1-2", "ciba-9-2", "ciba-10-1"],
  async () => {
    const { authReqId, token, acknowledged } = await asked(pushed);
    assert.equal(acknowledged.interval, undefined);
    await world.allow(authReqId);
    const [push] = await told();
    assert.deepEqual([push?.method, push?.path], ["POST", "/push"]);
    assert.match(push?.headers["content-type"] ?? "", /^application\/json/);
    assert.equal(push?.headers.authorization, `Bearer ${token}`);
    const { auth_req_id, access_token, token_type, id_token, expires_in } = push!.json;
    assert.deepEqual([auth_req_id, token_type], [authReqId, "Bearer"]);
    assert.ok(expires_in > 0);
    const keys = (await world.call((await world.metadata()).jwks_uri)).body;
    const { payload } = await jwtVerify(id_token, createLocalJWKSet(keys), {
      issuer: world.issuer,
      audience: "pushed",
      currentDate: new Date(),
    });
    const half = createHash("sha256").update(access_token).digest().subarray(0, 16);
    assert.equal(payload.at_hash, half.toString("base64url"));
    assert.equal(payload["urn:openid:params:jwt:claim:auth_req_id"], authReqId);
    const used = await world.call(
      `${world.resource.url}/${decodeJwt<{ scope: string }>(access_token).scope.split(" ")[1]}`,
      {
        headers: { authorization: `Bearer ${access_token}` },
      },
    );
    assert.equal(used.status, 200, used.text);
  },
);

scenario(
  "a denial is pushed as access_denied, expiry as expired_token",
  ["ciba-10.3.1-6", "ciba-12-1", "ciba-12-2", "ciba-12-3", "ciba-12-4"],
  async () => {
    const denied = await asked(pushed);
    await world.deny(denied.authReqId, "“nein”, sagt Ada");
    const late = await asked(pushed, { requested_expiry: "10" });
    await told(1);
    world.advanceClock(10_000);
    const [first, second] = await told(2);
    assert.deepEqual([first?.json.auth_req_id, first?.json.error], [denied.authReqId, "access_denied"]);
    assert.deepEqual([second?.json.auth_req_id, second?.json.error], [late.authReqId, "expired_token"]);
    for (const one of [first, second])
      assert.match(one?.json.error_description ?? "", /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/);
  },
);

scenario(
  "an undeliverable push revokes its token, and a repeated request receives transaction_failed",
  ["ciba-12-5", "ciba-12-1"],
  async () => {
    const scope = `openid ${scopes.shift()}`;
    const headers = { "idempotency-key": newToken() };
    const ask = () => world.ask(pushed, { scope, client_notification_token: newToken() }, { headers });
    const { auth_req_id } = (await ask()).body;
    receiver.respond = (response) => response.writeHead(503).end();
    await world.allow(auth_req_id);
    for (let round = 0; round < 40; round += 1) {
      world.advanceClock(10_000);
      await setTimeout(40);
    }
    const bodies = receiver.received.map(({ body }) => JSON.parse(body));
    const tokens = new Set(bodies.map(({ access_token }) => access_token).filter(Boolean));
    assert.equal(tokens.size, 1);
    const [token] = tokens;
    assert.deepEqual((await world.introspect("calendar", token)).body, { active: false });

    receiver.received.length = 0;
    receiver.respond = (response) => response.writeHead(204).end();
    assert.equal((await ask()).body.auth_req_id, auth_req_id);
    while (toldOf(auth_req_id).length === 0) await told(receiver.received.length + 1);
    const last = receiver.received
      .map(({ body }) => JSON.parse(body))
      .find((one) => one.auth_req_id === auth_req_id);
    assert.equal(last.error, "transaction_failed");
  },
);

scenario("a push client that polls receives unauthorized_client", ["ciba-11-7", "ciba-10-1"], async () => {
  const { authReqId } = await asked(pushed);
  assert.deepEqual(refusal(await world.poll(pushed, authReqId)), [400, "unauthorized_client"]);
  await world.allow(authReqId);
  assert.deepEqual(refusal(await world.poll(pushed, authReqId)), [400, "unauthorized_client"]);
});

scenario(
  "push is refused for bound tokens and irreversible actions",
  ["fapi-ciba-5.2.2-3", "ciba-13-7"],
  async () => {
    const ask = (id: string, scope: string) =>
      world.ask(world.agent(id), { scope, client_notification_token: newToken() });
    assert.deepEqual(refusal(await ask("bound", "openid calendar.mute")), [400, "unauthorized_client"]);
    assert.deepEqual(refusal(await ask("pushed", "openid calendar.clear")), [400, "unauthorized_client"]);
  },
);

scenario(
  "the notification token of a polling client is ignored, and no callback is sent",
  ["ciba-10-1"],
  async () => {
    const authReqId = await world.asked(world.agent("agent"), { client_notification_token: "x" });
    await world.allow(authReqId);
    assert.equal((await world.poll(world.agent("agent"), authReqId)).status, 200);
    await silence();
    assert.deepEqual(toldOf(authReqId), []);
  },
);
