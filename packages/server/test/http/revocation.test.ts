/** An agent gives a token up (RFC 7009), and what introspection (RFC 7662) says of a token in each of its states. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { decodeJwt } from "jose";
import { addAgent, addApi, pauseAgent, removeClient } from "../../src/usecase/client/client-lifecycle.ts";

const deployment = useDeployment();

let orders = 0;
async function issue(agent = deployment.agent): Promise<string> {
  orders += 1;
  const action = { ...refund, order: `R-${orders}` };
  const asked = await deployment.ask({ authorization_details: JSON.stringify([action]) }, toBasicAuth(agent));
  await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
  const form = { grant_type: "urn:openid:params:grant-type:ciba", auth_req_id: asked.body.auth_req_id };
  return (await deployment.post("/oauth/token", form, toBasicAuth(agent))).body.access_token;
}
const revoke = (token: string, agent = deployment.agent, more = {}) =>
  deployment.post("/revoke", { token, ...more }, toBasicAuth(agent));
const introspect = async (token: string, more = {}) =>
  await deployment.post("/introspect", { token, ...more }, toBasicAuth(deployment.api));
const reserve = (token: string) =>
  deployment.spend({
    operation: "reserve",
    token,
    spend_id: randomBytes(16).toString("base64url"),
    act_digest: String(decodeJwt(token).act_digest),
  });
async function addedAgent(id: string) {
  const added = await addAgent(deployment.server.store, {
    id,
    name: id,
    types: ["refund"],
    credential: { method: "client_secret_basic" },
  });
  assert.ok("secret" in added);
  return { id, secret: added.secret ?? "" };
}
const events = async (token: string) => {
  const { jti } = decodeJwt(token);
  const entries = (await deployment.server.store.log.newest(50)).map(({ line }) => JSON.parse(line));
  return entries.filter((entry) => entry.token === jti).map(({ event }) => event);
};

describe("POST /revoke", () => {
  test("revokes a token, which can no longer be spent, and logs it", async () => {
    const token = await issue();
    const answer = await revoke(token);
    assert.deepEqual([answer.status, answer.headers.get("cache-control")], [200, "no-store"]);
    assert.deepEqual((await introspect(token)).body, { active: false });
    assert.equal((await reserve(token)).body.error, "invalid_token");
    assert.deepEqual(await events(token), ["spend.refused", "token.revoked", "token.issued"]);
  });

  test("returns 200 and changes nothing for a revoked, unknown, foreign or ended token", async () => {
    const stranger = await addedAgent("agent-stranger");
    const [foreign, reserved, expired, twice] = [await issue(), await issue(), await issue(), await issue()];
    await reserve(reserved);
    await revoke(twice);
    const before = await Promise.all([foreign, reserved, twice].map(events));
    const answers = [
      await revoke(foreign, stranger),
      await revoke(reserved),
      await revoke(twice),
      await revoke("no token at all"),
    ];
    for (const { status, body } of answers) assert.deepEqual([status, body], [200, {}]);
    assert.deepEqual(await Promise.all([foreign, reserved, twice].map(events)), before);
    assert.equal((await introspect(foreign)).body.active, true);
    deployment.clock.now += 60_000;
    assert.equal((await revoke(expired)).status, 200);
    assert.deepEqual(
      await events(expired),
      ["token.issued"],
      "the sweeper says how it ended, and not the agent",
    );
  });

  test("rejects a request without token or client, and ignores token_type_hint", async () => {
    const token = await issue();
    assert.equal(
      (await deployment.post("/revoke", {}, toBasicAuth(deployment.agent))).body.error,
      "invalid_request",
    );
    assert.equal((await deployment.post("/revoke", { token })).status, 401);
    assert.equal((await revoke(token, deployment.api)).status, 401);
    assert.equal((await introspect(token)).body.active, true);
    assert.equal((await revoke(token, deployment.agent, { token_type_hint: "refresh_token" })).status, 200);
    assert.equal((await introspect(token)).body.active, false);
  });

  test("accepts one of a concurrent revocation and reservation, and logs which", async () => {
    for (let round = 0; round < 5; round += 1) {
      const token = await issue();
      const [, spent] = await Promise.all([revoke(token), reserve(token)]);
      const told = (await events(token)).filter((event) => event !== "spend.refused");
      assert.deepEqual(told, [spent.status === 200 ? "token.reserved" : "token.revoked", "token.issued"]);
    }
  });

  test("accepts the revocation of a paused agent", async () => {
    const agent = await addedAgent("agent-paused");
    const token = await issue(agent);
    await pauseAgent(deployment.server.store, agent.id, true);
    await revoke(token, agent);
    await pauseAgent(deployment.server.store, agent.id, false);
    assert.deepEqual((await introspect(token)).body, { active: false });
  });
});

describe("POST /introspect", () => {
  test("returns the claims of a token that can be spent", async () => {
    const token = await issue();
    const { headers, body } = await introspect(token, { token_type_hint: "whatever" });
    assert.equal(headers.get("cache-control"), "no-store");
    const { active, token_type, ...claims } = body;
    assert.deepEqual([active, token_type], [true, "Bearer"]);
    assert.deepEqual(claims, decodeJwt(token));
    assert.deepEqual([claims.iss, claims.acr], [issuer, "urn:countersign:acr:session"]);
  });

  test("returns only inactive for a token that cannot be spent", async () => {
    const paused = await addedAgent("agent-stopped");
    const gone = await addedAgent("agent-gone");
    const other = await addApi(deployment.server.store, "calendar-api", "calendar");
    assert.ok("secret" in other);
    const tokens = {
      revoked: await issue(),
      reserved: await issue(),
      paused: await issue(paused),
      gone: await issue(gone),
      elsewhere: await issue(),
      expired: await issue(),
    };
    await revoke(tokens.revoked);
    await reserve(tokens.reserved);
    await pauseAgent(deployment.server.store, paused.id, true);
    await removeClient(deployment.server.store, "agent", gone.id);
    for (const name of ["revoked", "reserved", "paused", "gone"] as const)
      assert.deepEqual((await introspect(tokens[name])).body, { active: false }, name);
    const calendar = toBasicAuth({ id: "calendar-api", secret: other.secret });
    const elsewhere = await deployment.post("/introspect", { token: tokens.elsewhere }, calendar);
    assert.deepEqual(elsewhere.body, { active: false });
    for (const unknown of ["x", `${tokens.elsewhere}x`, "__proto__"])
      assert.deepEqual((await introspect(unknown)).body, { active: false });
    deployment.clock.now += 60_000;
    assert.deepEqual((await introspect(tokens.expired)).body, { active: false });
  });
});

describe("metadata", () => {
  test("publishes the revocation endpoint and its authentication methods", async () => {
    const metadata = await (await deployment.request("/.well-known/oauth-authorization-server")).json();
    assert.equal(metadata.revocation_endpoint, `${issuer}/revoke`);
    assert.deepEqual(
      metadata.revocation_endpoint_auth_methods_supported,
      metadata.token_endpoint_auth_methods_supported,
    );
  });
});
