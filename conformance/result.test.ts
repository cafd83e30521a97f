/** Fetching the result by polling (CIBA §10.1, §11). */
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({ agents: [{ id: "other" }] });

const agent = () => world.agent("agent");

scenario(
  "an undecided request returns authorization_pending, and no token",
  ["ciba-11-1", "ciba-10.1.1-3", "ciba-8-1", "fapi-base-5.2.2-12"],
  async () => {
    const answer = await world.poll(agent(), await world.asked(agent()));
    assert.deepEqual(refusal(answer), [400, "authorization_pending"]);
    assert.equal(answer.body.access_token, undefined);
  },
);

scenario(
  "an approved request returns access token, token type and a valid ID token, once",
  ["ciba-10.1.1-1", "fapi-base-5.2.2-14", "fapi-base-5.2.2-21"],
  async () => {
    const authReqId = await world.asked(agent());
    await world.allow(authReqId);
    const { status, headers, body } = await world.poll(agent(), authReqId);
    assert.equal(status, 200);
    assert.match(headers["cache-control"] ?? "", /no-store/);
    assert.match(headers["content-type"] ?? "", /^application\/json/);
    assert.equal(body.token_type, "Bearer");
    assert.ok(Number.isInteger(body.expires_in) && body.expires_in > 0 && body.expires_in < 600);
    const keys = (await world.call((await world.metadata()).jwks_uri)).body;
    const { payload, protectedHeader } = await jwtVerify(body.id_token, createLocalJWKSet(keys), {
      issuer: world.issuer,
      audience: "agent",
      currentDate: new Date(),
    });
    assert.ok(protectedHeader.kid);
    for (const claim of ["sub", "exp", "iat", "auth_time"]) assert.ok(payload[claim], claim);
  },
);

scenario("a redeemed auth_req_id is invalid_grant", ["ciba-10.1.1-2"], async () => {
  const authReqId = await world.asked(agent());
  await world.allow(authReqId);
  assert.equal((await world.poll(agent(), authReqId)).status, 200);
  assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "invalid_grant"]);
});

scenario("one of many concurrent polls gets the token", ["ciba-10.1.1-2"], async () => {
  const authReqId = await world.asked(agent());
  await world.allow(authReqId);
  const answers = await Promise.all(Array.from({ length: 8 }, () => world.poll(agent(), authReqId)));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.equal(answers.filter(({ body }) => body.error === "invalid_grant").length, 7);
});

scenario(
  "polling too fast returns slow_down, and the interval is then five seconds longer",
  ["ciba-11-2"],
  async () => {
    const authReqId = await world.asked(agent());
    assert.equal((await world.poll(agent(), authReqId)).body.error, "authorization_pending");
    assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "slow_down"]);
    world.advanceClock(6000);
    assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "slow_down"]);
    for (let again = 0; again < 2; again += 1) {
      world.advanceClock(10_000);
      assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "authorization_pending"]);
    }
  },
);

scenario("persistent polling far too fast returns invalid_request", ["ciba-11-6"], async () => {
  const authReqId = await world.asked(agent());
  const said: string[] = [];
  for (let poll = 0; poll < 20; poll += 1) said.push((await world.poll(agent(), authReqId)).body.error);
  assert.deepEqual([...new Set(said)], ["authorization_pending", "slow_down", "invalid_request"]);
  // A decided request returns its result at any polling speed.
  await world.allow(authReqId);
  assert.equal((await world.poll(agent(), authReqId)).status, 200);
});

scenario("an expired request returns expired_token, repeatedly", ["ciba-11-3"], async () => {
  const authReqId = await world.asked(agent(), { requested_expiry: "10" });
  assert.equal((await world.poll(agent(), authReqId)).body.error, "authorization_pending");
  world.advanceClock(10_000);
  assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "expired_token"]);
  world.advanceClock(3_600_000);
  assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "expired_token"]);
});

scenario("an approval that was not fetched in time returns expired_token", ["ciba-11-3"], async () => {
  const authReqId = await world.asked(agent(), { requested_expiry: "10" });
  await world.allow(authReqId);
  world.advanceClock(10_000);
  assert.deepEqual(refusal(await world.poll(agent(), authReqId)), [400, "expired_token"]);
});

scenario(
  "a denied request returns access_denied, with the reason if there is one",
  ["ciba-11-4"],
  async () => {
    const authReqId = await world.asked(agent());
    await world.deny(authReqId, "the customer has called");
    const answer = await world.poll(agent(), authReqId);
    assert.deepEqual(refusal(answer), [400, "access_denied"]);
    assert.equal(answer.body.denial_reason, "the customer has called");
  },
);

scenario(
  "an unknown and another client's auth_req_id return the same invalid_grant",
  ["ciba-11-5", "ciba-10.1-7"],
  async () => {
    const authReqId = await world.asked(agent());
    const others = await world.poll(world.agent("other"), authReqId);
    assert.deepEqual(refusal(others), [400, "invalid_grant"]);
    for (const unknown of ["unknown", `${authReqId}x`, "req_01.abc"])
      assert.deepEqual((await world.poll(world.agent("other"), unknown)).body, others.body);
    await world.allow(authReqId);
    assert.equal((await world.poll(world.agent("other"), authReqId)).body.error, "invalid_grant");
    assert.equal((await world.poll(agent(), authReqId)).status, 200);
  },
);

scenario(
  "a token request requires the CIBA grant and the auth_req_id",
  ["ciba-10.1-5", "ciba-10.1-6", "ciba-11-8"],
  async () => {
    const authReqId = await world.asked(agent());
    const other = await world.poll(agent(), authReqId, { grant_type: "authorization_code" });
    assert.deepEqual(refusal(other), [400, "unsupported_grant_type"]);
    for (const missing of [{ grant_type: undefined }, { auth_req_id: undefined }]) {
      const answer = await world.poll(agent(), authReqId, missing);
      assert.deepEqual(refusal(answer), [400, "invalid_request"]);
      assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
      assert.match(answer.headers["cache-control"] ?? "", /no-store/);
    }
  },
);

scenario("the sub of both tokens is the approver, never the agent", ["rfc9068-5-1"], async () => {
  const { body } = await world.approved(agent());
  const [ada] = world.approvers;
  assert.equal(decodeJwt(body.id_token).sub, ada!.id);
  assert.equal(decodeJwt(body.access_token).sub, ada!.id);
});

scenario("a long poll returns on the decision, not before", ["ciba-10.1-3"], async () => {
  for (const [decide, expected] of [
    [world.allow, 200],
    [world.deny, 400],
  ] as const) {
    const authReqId = await world.asked(agent());
    let answered = false;
    const held = world.poll(agent(), authReqId, {}, { headers: { prefer: "wait=20" } }).then((answer) => {
      answered = true;
      return answer;
    });
    // Meanwhile another request completes.
    await world.asked(agent());
    assert.equal(answered, false);
    const decidedAt = performance.now();
    await decide(authReqId);
    assert.equal((await held).status, expected);
    assert.ok(performance.now() - decidedAt < 1000);
  }
});

scenario("a long poll waits as requested, at most thirty seconds", ["ciba-10.1-2"], async () => {
  for (const [wait, granted] of [
    [7, 7],
    [3600, 30],
  ] as const) {
    const authReqId = await world.asked(agent());
    let answered = false;
    const held = world
      .poll(agent(), authReqId, {}, { headers: { prefer: `wait=${wait}` } })
      .then((answer) => {
        answered = true;
        return answer;
      });
    // Meanwhile other requests complete.
    await world.asked(agent());
    world.advanceClock((granted - 1) * 1000);
    await world.asked(agent());
    assert.equal(answered, false);
    // The server checks its clock periodically.
    for (world.advanceClock(1000); !answered; world.advanceClock(100)) await setTimeout(20);
    const answer = await held;
    assert.equal(answer.body.error, "authorization_pending");
    assert.equal(answer.headers["preference-applied"], `wait=${granted}`);
  }
});
