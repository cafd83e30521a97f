import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { actionDigest, shortDigest } from "@countersign/protocol";
import { issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";

const deployment = useDeployment();

const spendId = () => randomBytes(16).toString("base64url");

/** Another order each time, so that no test meets another's latch or waiting ask. */
let orders = 0;
function newRefund(type = "refund") {
  orders += 1;
  return { ...refund, type, order: `B-${orders}` };
}

async function askFor(action: object): Promise<string> {
  const answer = await deployment.ask({ authorization_details: JSON.stringify([action]) });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.auth_req_id;
}

/** The digest as a verifier computes it from the call, knowing the token's type hash. */
function digestOf(token: string, { type, ...bound }: { type: string; [field: string]: string }): string {
  const claims = decodeJwt(token);
  return actionDigest({
    type,
    typeHash: claims.act_type_hash as string,
    audience: claims.aud as string,
    bound,
  });
}

describe("from request to spend", () => {
  test("approves with a signing passkey, redeems once, spends once, and logs each step", async () => {
    const action = newRefund("signed-refund");
    const authReqId = await askFor(action);
    const id = toRequestId(authReqId);
    assert.equal((await deployment.poll(authReqId)).body.error, "authorization_pending");

    const page = await (await deployment.ada.get(`/requests/${id}`)).text();
    assert.match(page, /\$10,000\.00/);
    const decided = await deployment.ada.decide(id, "approve");
    assert.equal(decided.status, 303, await decided.text());

    const granted = await deployment.poll(authReqId);
    assert.equal(granted.status, 200, JSON.stringify(granted.body));
    const { access_token: token, ...answer } = granted.body;
    assert.equal(granted.headers.get("cache-control"), "no-store");
    assert.equal(answer.token_type, "Bearer");
    assert.equal(answer.expires_in, 60);
    assert.equal(answer.scope, "openid");
    assert.deepEqual(answer.authorization_details, [action]);
    assert.ok(!("refresh_token" in answer));

    const { keys } = await (await deployment.request("/jwks")).json();
    const jwks = createLocalJWKSet({ keys });
    const options = { issuer, currentDate: new Date(deployment.clock.now) };
    const access = await jwtVerify(token, jwks, {
      ...options,
      typ: "at+jwt",
      audience: "https://refunds.example",
    });
    const claims = access.payload;
    assert.equal(claims.sub, deployment.ada.approver);
    assert.equal(claims.client_id, deployment.agent.id);
    assert.deepEqual(claims.approved_by, [deployment.ada.approver]);
    assert.deepEqual(claims.authorization_details, [action]);
    assert.equal(claims.acr, "urn:countersign:acr:passkey-signed");
    assert.deepEqual(claims.amr, ["pop", "user", "mfa"]);
    assert.equal(claims.act_digest, digestOf(token, action));
    const identity = await jwtVerify(answer.id_token, jwks, { ...options, audience: deployment.agent.id });
    assert.equal(identity.payload.sub, deployment.ada.approver);
    assert.equal(identity.payload.acr, claims.acr);

    const held = { token, spend_id: spendId() };
    const reserved = await deployment.spend({
      ...held,
      operation: "reserve",
      act_digest: claims.act_digest as string,
    });
    assert.equal(reserved.status, 200, JSON.stringify(reserved.body));
    assert.equal(reserved.body.state, "reserved");
    assert.equal((await deployment.spend({ ...held, operation: "complete" })).body.state, "completed");

    await deployment.server.runJobs();
    const entries = (await deployment.server.store.log.newest(50, id))
      .map(({ line }) => JSON.parse(line))
      .reverse();
    const events = entries.map(({ event }) => event);
    assert.deepEqual(events, [
      "request.created",
      "request.approved",
      "token.issued",
      "token.reserved",
      "token.completed",
    ]);
    for (const entry of entries) {
      assert.equal(entry.agent, deployment.agent.id);
      assert.equal(entry.digest, claims.act_digest);
    }
    assert.equal(entries[1].approver, deployment.ada.approver);
    assert.ok(entries[1].facts.evidence.signature, "the signature is kept as evidence");
    assert.equal(entries[2].token, claims.jti);
  });
});

describe("POST /oauth/token", () => {
  test("issues no second token for an auth_req_id (T17)", async () => {
    const authReqId = await askFor(newRefund());
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    assert.equal((await deployment.poll(authReqId)).status, 200);
    const again = await deployment.poll(authReqId);
    assert.deepEqual([again.status, again.body.error], [400, "invalid_grant"]);
  });

  test("issues one token for two hundred concurrent polls (T18, T47)", async () => {
    const authReqId = await askFor(newRefund());
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const answers = await Promise.all(Array.from({ length: 200 }, () => deployment.poll(authReqId)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.ok(answers.every(({ status, body }) => status === 200 || body.error === "invalid_grant"));
  });
});

describe("POST /spend", () => {
  test("reserves a token once for two hundred concurrent spends", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    const form = { operation: "reserve", token, act_digest: digestOf(token, action) };
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => deployment.spend({ ...form, spend_id: spendId() })),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.ok(answers.every(({ status, body }) => status === 200 || body.error === "already_spent"));
  });
});

describe("POST /requests/:id/decision", () => {
  test("accepts one of a concurrent approval and denial, and logs one decision (T24, T48)", async () => {
    const bob = await deployment.enrol("bob@example.com");
    for (let round = 0; round < 10; round += 1) {
      const answer = await deployment.ask({
        login_hint: "owner",
        authorization_details: JSON.stringify([newRefund()]),
      });
      const id = toRequestId(answer.body.auth_req_id);
      const [yes, no] = await Promise.all([deployment.ada.decide(id, "approve"), bob.decide(id, "deny")]);
      assert.deepEqual([yes.status, no.status].sort(), [303, 409]);
      const polled = await deployment.poll(answer.body.auth_req_id);
      assert.equal(polled.status === 200, yes.status === 303);
      const events = (await deployment.server.store.log.newest(50, id)).map(
        ({ line }) => JSON.parse(line).event,
      );
      assert.equal(
        events.filter((event) => event === "request.approved" || event === "request.denied").length,
        1,
      );
    }
  });
});

describe("POST /spend and POST /introspect", () => {
  test("rejects a token for any other call, does not consume it, and logs the attempt (T9)", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    const form = { operation: "reserve", token, spend_id: spendId() };
    const changes: Record<string, string>[] = [
      { amount: "10000.01" },
      { order: "Z-9" },
      { type: "promote" },
      { note: "more" },
    ];
    for (const changed of changes) {
      const other = await deployment.spend({
        ...form,
        act_digest: digestOf(token, { ...action, ...changed }),
      });
      assert.deepEqual([other.status, other.body.error], [409, "digest_mismatch"]);
    }
    assert.equal((await deployment.spend({ ...form, act_digest: digestOf(token, action) })).status, 200);
    const events = (await deployment.server.store.log.newest(50, toRequestId(authReqId))).map(
      ({ line }) => JSON.parse(line).event,
    );
    assert.equal(events.filter((event) => event === "spend.refused").length, 4);
  });

  test("returns the same response for a spend_id while the token is reserved, and an error later", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    const held = { token, spend_id: spendId() };
    const reserve = { ...held, operation: "reserve", act_digest: digestOf(token, action) };
    const first = await deployment.spend(reserve);
    assert.deepEqual((await deployment.spend(reserve)).body, first.body);
    deployment.clock.now += 120_000;
    assert.equal(
      (await deployment.spend({ ...held, operation: "fail" })).body.state,
      "failed",
      "completion works after exp",
    );
    assert.equal((await deployment.spend({ ...held, operation: "complete" })).body.error, "already_spent");
    assert.equal((await deployment.spend(reserve)).body.error, "already_spent");
  });

  test("rejects a token of another API with the same response as an unknown one", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    const { addApi } = await import("../../src/usecase/client/client-lifecycle.ts");
    const added = await addApi(deployment.server.store, "calendar-api", "calendar");
    assert.ok("secret" in added);
    const form = { operation: "reserve", token, spend_id: spendId(), act_digest: digestOf(token, action) };
    const calendar = toBasicAuth({ id: "calendar-api", secret: added.secret });
    const foreign = await deployment.post("/spend", form, calendar);
    const unknown = await deployment.post("/spend", { ...form, token: `${token}x` }, calendar);
    assert.equal(foreign.status, 409);
    assert.deepEqual(foreign.body, unknown.body);
    assert.equal(foreign.body.error, "invalid_token");
    assert.deepEqual((await deployment.post("/introspect", { token }, calendar)).body, { active: false });
  });

  test("returns active from introspection only while the token is issued", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    const introspect = () => deployment.post("/introspect", { token }, toBasicAuth(deployment.api));
    const before = await introspect();
    assert.equal(before.headers.get("cache-control"), "no-store");
    assert.equal(before.body.active, true);
    assert.deepEqual(before.body.authorization_details, [action]);
    await deployment.spend({
      operation: "reserve",
      token,
      spend_id: spendId(),
      act_digest: digestOf(token, action),
    });
    assert.deepEqual((await introspect()).body, { active: false });
  });

  test("rejects an expired token as expired, and returns inactive from introspection", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.ada.decide(toRequestId(authReqId), "approve");
    const token = (await deployment.poll(authReqId)).body.access_token;
    deployment.clock.now += 60_000;
    const late = await deployment.spend({
      operation: "reserve",
      token,
      spend_id: spendId(),
      act_digest: digestOf(token, action),
    });
    assert.deepEqual([late.status, late.body.error], [409, "expired_token"]);
    assert.deepEqual((await deployment.post("/introspect", { token }, toBasicAuth(deployment.api))).body, {
      active: false,
    });
  });
});

describe("card and inbox", () => {
  test("show the same check code", async () => {
    const authReqId = await askFor(newRefund());
    const id = toRequestId(authReqId);
    const held = await deployment.server.store.read("request", id);
    const code = shortDigest(held?.record.digest ?? "");
    assert.ok((await (await deployment.ada.get(`/requests/${id}`)).text()).includes(code));
    assert.ok((await (await deployment.ada.get("/inbox")).text()).includes(code));
  });
});

describe("restart", () => {
  test("keeps pending requests, sessions and tokens (T21)", async () => {
    const action = newRefund();
    const authReqId = await askFor(action);
    await deployment.restart();
    assert.equal((await deployment.ada.decide(toRequestId(authReqId), "approve")).status, 303);
    await deployment.restart();
    const token = (await deployment.poll(authReqId)).body.access_token;
    await deployment.restart();
    const form = { operation: "reserve", token, spend_id: spendId(), act_digest: digestOf(token, action) };
    assert.equal((await deployment.spend(form)).status, 200);
  });
});
