import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deploy, issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { pauseAgent } from "../../src/usecase/client/client-lifecycle.ts";
import { releaseDenial } from "../../src/usecase/request/cancel.ts";

const deployment = useDeployment();

const details = (...list: unknown[]) => ({ authorization_details: JSON.stringify(list) });

/** Everything that must be refused: what changes in a good ask, and the code and status it gets. */
const refusals: readonly (readonly [
  string,
  Readonly<Record<string, string | undefined>>,
  string,
  number?,
])[] = [
  ["no scope", { scope: undefined }, "invalid_request"],
  ["a scope without openid", { scope: "profile" }, "invalid_scope"],
  ["an undeclared scope (T42)", { scope: "openid payments" }, "invalid_scope"],
  ["the name of an action type as scope (T42)", { scope: "openid refund" }, "invalid_scope"],
  ["no hint", { login_hint: undefined }, "invalid_request"],
  ["two hints", { id_token_hint: "x" }, "invalid_request"],
  ["an unsigned id_token_hint (T6)", { login_hint: undefined, id_token_hint: "e30.e30." }, "invalid_request"],
  ["an unknown e-mail address", { login_hint: "eve@example.com" }, "unknown_user_id"],
  ["an unknown id", { login_hint: "apr_nobody" }, "unknown_user_id"],
  [
    "another issuer's subject",
    { login_hint: '{"format":"iss_sub","iss":"https://evil.example","sub":"x"}' },
    "unknown_user_id",
  ],
  ["no action", { authorization_details: undefined }, "invalid_authorization_details"],
  ["details that are not JSON", { authorization_details: "[{" }, "invalid_authorization_details"],
  ["an unknown type", details({ type: "transfer" }), "invalid_authorization_details"],
  ["an undeclared field (T14)", details({ ...refund, hidden: "1" }), "invalid_authorization_details"],
  ["an amount as a number (T13)", details({ ...refund, amount: 10000 }), "invalid_authorization_details"],
  [
    "a missing field",
    details({ type: "refund", order: "A-1", currency: "USD" }),
    "invalid_authorization_details",
  ],
  ["two details", details(refund, refund), "invalid_authorization_details"],
  [
    "a duplicate key (T14)",
    {
      authorization_details:
        '[{"type":"refund","order":"A-1","amount":"1.00","amount":"10000.00","currency":"USD"}]',
    },
    "invalid_authorization_details",
  ],
  [
    "an integer beyond 2^53",
    {
      authorization_details:
        '[{"type":"refund","order":"A-1","amount":"1.00","currency":"USD","quantity":9007199254740993}]',
    },
    "invalid_authorization_details",
  ],
  [
    "a bidi override in a bound field (T15)",
    details({ ...refund, order: "A‮1-" }),
    "invalid_authorization_details",
  ],
  ["a zero-width space in the message (T15)", { binding_message: "pay​ me" }, "invalid_binding_message"],
  ["a bidi override in the message (T15)", { binding_message: "pay ‮me" }, "invalid_binding_message"],
  ["a message that is too long", { binding_message: "x".repeat(257) }, "invalid_binding_message"],
  ["the resource of another API", { resource: "https://calendar.example" }, "invalid_target"],
  ["the string undefined as audience", { audience: "undefined" }, "invalid_target"],
  ["an unknown acr", { acr_values: "gold" }, "invalid_request"],
  [
    "a request object of an agent that is not registered to sign (T43)",
    { request: "e30.e30." },
    "invalid_request",
  ],
  ["a user_code of an agent that is not registered to send one", { user_code: "1234" }, "invalid_request"],
  ...["0", "-1", "+5", "1e3", "0x10", " 5", "5.0", "05", "1000000000000"].map(
    (text) =>
      [
        `requested_expiry ${JSON.stringify(text)} (T54)`,
        { requested_expiry: text },
        "invalid_request",
      ] as const,
  ),
];

describe("POST /bc-authorize", () => {
  for (const [name, changed, error, status = 400] of refusals)
    test(`rejects ${name} with ${error}`, async () => {
      const answer = await deployment.ask(changed);
      assert.deepEqual([answer.status, answer.body.error], [status, error], answer.body.error_description);
      assert.match(answer.body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("www-authenticate"), null);
      assert.deepEqual(await deployment.server.store.listRequests({ limit: 10 }), []);
    });

  test("rejects two resource parameters: a token is for one API", async () => {
    const form = new URLSearchParams({ scope: "openid", login_hint: "owner" });
    form.set("authorization_details", JSON.stringify([refund]));
    for (const resource of ["https://refunds.example", "https://calendar.example"])
      form.append("resource", resource);
    const answer = await deployment.post("/bc-authorize", form.toString(), toBasicAuth(deployment.agent));
    assert.deepEqual([answer.status, answer.body.error], [400, "invalid_request"]);
    assert.deepEqual(await deployment.server.store.listRequests({ limit: 10 }), []);
  });

  test("names the path of a rejected field", async () => {
    const answer = await deployment.ask(details({ ...refund, hidden: "1" }));
    assert.match(answer.body.error_description, /\$\[0\]\.hidden/);
  });

  test("returns 200 with JSON, no-store and a numeric interval", async () => {
    const answer = await deployment.ask();
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
    assert.match(answer.body.auth_req_id, /^[A-Za-z0-9._-]{60,}$/);
    assert.deepEqual([answer.body.expires_in, answer.body.interval], [120, 5]);
  });

  test("returns expires_in as requested, at most the maximum of the action type (T41)", async () => {
    const short = await deployment.ask({ ...details({ ...refund, order: "E-1" }), requested_expiry: "30" });
    assert.equal(short.body.expires_in, 30);
    const long = await deployment.ask({ ...details({ ...refund, order: "E-2" }), requested_expiry: "86400" });
    assert.equal(long.body.expires_in, 600);
    deployment.clock.now += 30_000;
    assert.equal((await deployment.poll(short.body.auth_req_id)).body.error, "expired_token");
    assert.equal((await deployment.poll(long.body.auth_req_id)).body.error, "authorization_pending");
  });

  test("accepts an e-mail address, an id and a subject identifier as login_hint", async () => {
    const forms = [
      "ADA@example.com",
      deployment.ada.approver,
      JSON.stringify({ format: "iss_sub", iss: `${issuer}/`, sub: deployment.ada.approver }),
      JSON.stringify({ format: "email", email: "ada@example.com" }),
      JSON.stringify({ format: "opaque", id: deployment.ada.approver }),
    ];
    for (const [at, login_hint] of forms.entries()) {
      const answer = await deployment.ask({ login_hint, ...details({ ...refund, order: `H-${at}` }) });
      assert.equal(answer.status, 200, answer.body.error_description);
      const held = await deployment.server.store.read("request", toRequestId(answer.body.auth_req_id));
      assert.deepEqual(held?.record.candidates, [deployment.ada.approver]);
    }
  });

  test("accepts standard and duplicate scopes, empty optional parameters and unknown ones", async () => {
    const answer = await deployment.ask({
      scope: "openid openid profile email offline_access",
      audience: "",
      binding_message: "",
      requested_expiry: "300",
      request_expiry: "300",
      custom: "x",
      ...details({ ...refund, order: "R-1" }),
    });
    assert.equal(answer.status, 200, answer.body.error_description);
    await deployment.ada.decide(toRequestId(answer.body.auth_req_id), "approve");
    const granted = await deployment.poll(answer.body.auth_req_id);
    assert.equal(granted.body.scope, "openid", "offline_access is accepted and not granted");
  });

  test("selects only approvers that the action type allows (T8)", async () => {
    await deployment.enrol("bob@example.com");
    const foo = details({ type: "promote", service: "foo" });
    const outside = await deployment.ask({ login_hint: "bob@example.com", ...foo });
    assert.notEqual(outside.status, 200);
    const owner = await deployment.ask({ login_hint: "owner", ...foo });
    const held = await deployment.server.store.read("request", toRequestId(owner.body.auth_req_id));
    assert.deepEqual(held?.record.candidates, [deployment.ada.approver], "the owner of foo, and nobody else");
  });

  test("rejects an action whose target has no owner (T27)", async () => {
    const answer = await deployment.ask({
      login_hint: "owner",
      ...details({ type: "promote", service: "baz" }),
    });
    assert.ok(answer.status >= 400, JSON.stringify(answer.body));
  });

  test("accepts an action scope without details, with its own sentence and audience", async () => {
    const answer = await deployment.ask({
      scope: "openid calendar.clear",
      authorization_details: undefined,
      binding_message: "Old events",
    });
    assert.equal(answer.status, 200, answer.body.error_description);
    const id = toRequestId(answer.body.auth_req_id);
    const page = await (await deployment.ada.get(`/requests/${id}`)).text();
    assert.match(page, /Delete every event of the past year/);
    assert.match(page, /Old events/);
    await deployment.ada.decide(id, "approve");
    const granted = await deployment.poll(answer.body.auth_req_id);
    assert.equal(granted.body.scope, "openid calendar.clear");
    assert.ok(!("authorization_details" in granted.body));
  });

  test("returns the pending request for the same action, whatever the other parameters (T31)", async () => {
    const action = details({ ...refund, order: "I-1" });
    const first = await deployment.ask({ ...action, binding_message: "please" });
    const again = await deployment.ask({ ...action, binding_message: "pretty please" });
    assert.equal(again.body.auth_req_id, first.body.auth_req_id);
    assert.equal(again.body.joined, true);
    const many = await Promise.all(
      Array.from({ length: 50 }, () => deployment.ask(details({ ...refund, order: "I-2" }))),
    );
    assert.equal(new Set(many.map(({ body }) => body.auth_req_id)).size, 1);
  });

  test("returns the same request for an Idempotency-Key, also when ended; rejects another action", async () => {
    const action = details({ ...refund, order: "K-1" });
    const key = { "idempotency-key": "task-1" };
    const first = await deployment.ask(action, key);
    await deployment.ada.decide(toRequestId(first.body.auth_req_id), "approve");
    await deployment.poll(first.body.auth_req_id);
    const again = await deployment.ask(action, key);
    assert.equal(again.body.auth_req_id, first.body.auth_req_id);
    assert.equal((await deployment.poll(again.body.auth_req_id)).body.error, "invalid_grant");
    const other = await deployment.ask(details({ ...refund, order: "K-2" }), key);
    assert.deepEqual([other.status, other.body.error], [400, "invalid_request"]);
    const fresh = await deployment.ask(action, { "idempotency-key": "task-2" });
    assert.notEqual(fresh.body.auth_req_id, first.body.auth_req_id, "another key asks anew");
  });

  test("rejects a denied action, also reworded or after expiry, until the denial is released (T25)", async () => {
    const action = { ...refund, order: "D-1" };
    const asked = await deployment.ask({ ...details(action), binding_message: "please" });
    await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "deny", {
      reason: "Not before an audit",
    });
    const changes = [{}, { amount: "10000.01" }, { amount: "1.00", reason: "only a little" }];
    for (const changed of changes) {
      const answer = await deployment.ask({
        ...details({ ...action, ...changed }),
        binding_message: "a quite different story",
      });
      assert.deepEqual([answer.status, answer.body.error], [403, "access_denied"]);
    }
    deployment.clock.now += 24 * 3_600_000;
    deployment.ada.cookie = (await deployment.enrol("ada@example.com")).cookie;
    assert.equal((await deployment.ask(details(action))).body.error, "access_denied");
    assert.equal(
      (await deployment.ask(details({ ...action, order: "D-2" }))).status,
      200,
      "another order is another subject",
    );
    const [latch] = (await deployment.server.store.list("denial")).filter(
      ({ record }) => record.fields.order === "D-1",
    );
    assert.equal(await releaseDenial(deployment.server.store, latch?.record.id ?? ""), "done");
    assert.equal((await deployment.ask(details(action))).status, 200);
  });

  test("limits the pending requests of an agent, also if they arrive concurrently (T29)", async () => {
    const before = await deployment.server.store.countPending(deployment.agent.id, deployment.clock.now);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, at) => deployment.ask(details({ ...refund, order: `M-${at}` }))),
    );
    assert.equal(answers.filter(({ status }) => status === 200).length, 20 - before);
    assert.ok(answers.every(({ status, body }) => status === 200 || body.error === "access_denied"));
    deployment.clock.now += 600_000;
  });

  test("limits the requests of an agent per hour, however short their expiry (T29)", async (t) => {
    const calm = await deploy({ config: { limits: { max_requests_per_hour: 5 } } });
    t.after(() => calm.close());
    await calm.enrol("ada@example.com");
    const asked = async (from: number, count: number) => {
      const outcomes: number[] = [];
      for (let at = from; at < from + count; at += 1) {
        const form = { ...details({ ...refund, order: `H-${at}` }), requested_expiry: "1" };
        outcomes.push((await calm.ask(form)).status);
        calm.clock.now += 1_000;
      }
      return outcomes;
    };
    assert.deepEqual(await asked(0, 7), [200, 200, 200, 200, 200, 403, 403]);
    calm.clock.now += 3_600_000 - 6_000;
    assert.deepEqual(await asked(10, 2), [200, 200], "those of an hour ago do not count");
  });

  test("rejects a paused agent, as do redemption and spend", async () => {
    const waiting = await deployment.ask(details({ ...refund, order: "P-1" }));
    const redeemed = await deployment.ask(details({ ...refund, order: "P-2" }));
    await deployment.ada.decide(toRequestId(waiting.body.auth_req_id), "approve");
    await deployment.ada.decide(toRequestId(redeemed.body.auth_req_id), "approve");
    const token = (await deployment.poll(redeemed.body.auth_req_id)).body.access_token;
    await pauseAgent(deployment.server.store, deployment.agent.id, true);
    assert.deepEqual(
      (await deployment.ask(details({ ...refund, order: "P-3" }))).body.error,
      "access_denied",
    );
    assert.equal((await deployment.poll(waiting.body.auth_req_id)).body.error, "access_denied");
    const digest =
      (await deployment.server.store.read("request", toRequestId(redeemed.body.auth_req_id)))?.record
        .digest ?? "";
    const form = { operation: "reserve", token, spend_id: "s".repeat(22), act_digest: digest };
    assert.equal((await deployment.spend(form)).body.error, "invalid_token");
    await pauseAgent(deployment.server.store, deployment.agent.id, false);
    assert.equal((await deployment.spend(form)).status, 200);
  });
});
