/** Authentication requests and their responses (CIBA §7, §13), except signed ones. */
import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { scenario } from "./scenario.ts";
import { encode, type Form, openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({
  approvers: [
    { email: "ada@example.com", name: "Ada" },
    { email: "bob@example.com", name: "Bob" },
  ],
  agents: [{ id: "poster", method: "client_secret_post" }],
});

const ask = (changed?: Form) => world.ask(world.agent("agent"), changed);
const describable = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;

scenario(
  "an accepted request returns 200 and JSON with a unique id, expiry and interval",
  ["ciba-7.3-1", "ciba-7.3-2", "ciba-7.3-5", "ciba-7.3-6", "ciba-7.3-7"],
  async () => {
    const answers = [await ask(), await ask()];
    for (const { status, headers, body } of answers) {
      assert.equal(status, 200);
      assert.match(headers["content-type"] ?? "", /^application\/json/);
      assert.match(headers["cache-control"] ?? "", /no-store/);
      assert.match(body.auth_req_id, /^[A-Za-z0-9._-]+$/);
      for (const number of [body.expires_in, body.interval])
        assert.ok(Number.isInteger(number) && number > 0, String(number));
    }
    assert.notEqual(answers[0]?.body.auth_req_id, answers[1]?.body.auth_req_id);
  },
);

scenario("ids are unpredictable", ["ciba-7.3-3", "ciba-7.3-4", "fapi-base-5.2.2-16"], async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, () => world.asked(world.agent("agent"))));
  assert.equal(new Set(ids).size, 20);
  // The part after the dot is a MAC: base64url of at least 160 bits.
  const secrets = ids.map((id) => id.slice(id.indexOf(".") + 1));
  for (const secret of secrets) assert.ok(Buffer.from(secret, "base64url").length >= 20, secret);
  assert.equal(new Set(secrets.map((secret) => secret.slice(0, 8))).size, 20);
});

scenario(
  "scope is required and contains openid",
  ["ciba-7.1-3", "ciba-7.1-4", "ciba-13-4", "ciba-7.2-6"],
  async () => {
    const details = { authorization_details: world.refund() };
    assert.deepEqual(refusal(await ask({ ...details, scope: undefined })), [400, "invalid_request"]);
    for (const scope of ["calendar.clear", "profile", "openid unknown"])
      assert.deepEqual(refusal(await ask({ ...details, scope })), [400, "invalid_scope"]);
  },
);

scenario("scopes come in any order", ["ciba-7.1-4"], async () => {
  assert.equal((await ask({ scope: "calendar.clear openid" })).status, 200);
});

scenario("exactly one hint is required", ["ciba-7.1-17", "ciba-7.2-3", "ciba-13-3"], async () => {
  assert.deepEqual(refusal(await ask({ login_hint: undefined })), [400, "invalid_request"]);
  const two = [{ login_hint_token: "x" }, { id_token_hint: "x" }];
  for (const more of two) assert.deepEqual(refusal(await ask(more)), [400, "invalid_request"]);
});

scenario(
  "a login_hint is an address, a subject, or an RFC 9493 subject identifier",
  ["ciba-7.1-10", "ciba-7.2-4"],
  async () => {
    const [, bob] = world.approvers;
    const hints = [
      "bob@example.com",
      bob!.id,
      JSON.stringify({ format: "email", email: "bob@example.com" }),
      JSON.stringify({ format: "iss_sub", iss: world.issuer, sub: bob!.id }),
      JSON.stringify({ format: "opaque", id: bob!.id }),
    ];
    for (const login_hint of hints) assert.equal((await ask({ login_hint })).status, 200, login_hint);
  },
);

scenario("a hint that matches no approver is unknown_user_id", ["ciba-7.2-5", "ciba-13-6"], async () => {
  for (const login_hint of [
    "nobody@example.com",
    "apr_unknown",
    '{"format":"iss_sub","iss":"https://x.example","sub":"y"}',
  ])
    assert.deepEqual(refusal(await ask({ login_hint })), [400, "unknown_user_id"], login_hint);
});

scenario(
  "requested_expiry shortens the lifetime, and must be a positive integer",
  ["ciba-7.1-15", "ciba-7.1-16"],
  async () => {
    assert.equal((await ask({ requested_expiry: "30" })).body.expires_in, 30);
    assert.equal((await ask({ requested_expiry: "300" })).body.expires_in, 300);
    for (const requested_expiry of ["0", "-5", "1.5", "1e3", "soon"])
      assert.deepEqual(refusal(await ask({ requested_expiry })), [400, "invalid_request"], requested_expiry);
  },
);

scenario("a binding message is shown unchanged", ["ciba-7.1-14", "fapi-base-5.2.2-17"], async () => {
  const message = "Order 4711 — Größe ≥ 3, 品川 👍🏿";
  const authReqId = await world.asked(world.agent("agent"), { binding_message: message });
  const shown = await world.call(world.headless.url.replace("{auth_req_id}", authReqId));
  assert.equal(shown.body.message, message);
  assert.equal(shown.body.agent.id, "agent");
  assert.match(shown.body.sentence, /€120\.00/);
});

scenario(
  "a binding message that cannot be shown is invalid_binding_message",
  ["ciba-7.1-13", "ciba-13-10"],
  async () => {
    for (const binding_message of ["two\nlines", "x\u202ey", "z".repeat(2000), "a\u200bb"])
      assert.deepEqual(refusal(await ask({ binding_message })), [400, "invalid_binding_message"]);
  },
);

scenario(
  "a request is a form in UTF-8; JSON and invalid UTF-8 are refused",
  ["ciba-7.1-18", "ciba-7.2-8"],
  async () => {
    const { id, secret } = world.agent("poster");
    const bodies: readonly (readonly [string, string])[] = [
      [JSON.stringify({ client_id: id, client_secret: secret, scope: "openid" }), "application/json"],
      [
        `client_id=${id}&client_secret=${secret}&scope=openid&login_hint=%ff%fe`,
        "application/x-www-form-urlencoded",
      ],
    ];
    for (const [body, type] of bodies)
      assert.deepEqual(
        refusal(await world.post("/bc-authorize", body, { headers: { "content-type": type } })),
        [400, "invalid_request"],
      );
    assert.equal((await world.call("/bc-authorize")).status, 404);
  },
);

scenario("a repeated parameter is invalid_request", ["ciba-13-3"], async () => {
  const { id, secret } = world.agent("poster");
  const form = encode({
    client_id: id,
    client_secret: secret,
    scope: "openid",
    login_hint: "ada@example.com",
  });
  const answer = await world.post("/bc-authorize", `${form}&login_hint=bob@example.com`);
  assert.deepEqual(refusal(answer), [400, "invalid_request"]);
});

scenario("unrecognised parameters are ignored", ["ciba-7.2-7"], async () => {
  assert.equal((await ask({ colour: "blue", client_notification_token: "for nobody" })).status, 200);
});

scenario("no parameter of a request changes the delivery mode", ["ciba-5-1"], async () => {
  const authReqId = await world.asked(world.agent("agent"), {
    backchannel_token_delivery_mode: "push",
    backchannel_client_notification_endpoint: "https://agent.example/push",
  });
  await world.allow(authReqId);
  assert.equal((await world.poll(world.agent("agent"), authReqId)).status, 200);
});

scenario(
  "acr_values are honoured, and the ID token contains the level that was reached",
  ["ciba-7.1-9", "fapi-ciba-5.2.2-8", "fapi-ciba-5.2.2-7"],
  async () => {
    const { acr_values_supported } = await world.metadata();
    const session = acr_values_supported.find((acr: string) => acr.endsWith(":session"));
    const signed = acr_values_supported.find((acr: string) => acr.endsWith(":passkey-signed"));
    const token = await world.approved(world.agent("agent"), { acr_values: session });
    assert.equal(decodeJwt(token.body.id_token).acr, session);
    const authReqId = await world.asked(world.agent("agent"), { acr_values: signed });
    assert.equal((await world.headless.decide(authReqId, "allow")).status, 409);
    assert.equal((await world.poll(world.agent("agent"), authReqId)).body.error, "authorization_pending");
    assert.deepEqual(refusal(await ask({ acr_values: "urn:other" })), [400, "invalid_request"]);
  },
);

scenario("user codes are disabled, in metadata and in requests", ["ciba-4-4"], async () => {
  const { backchannel_user_code_parameter_supported: taken = false } = await world.metadata();
  assert.equal(taken, false);
  assert.deepEqual(refusal(await ask({ user_code: "1234" })), [400, "invalid_request"]);
});

scenario(
  "every error is JSON with a code and a description of allowed characters",
  ["ciba-13-1", "ciba-13-2", "ciba-7.2-8"],
  async () => {
    const errors = [
      await ask({ scope: "x\ty" }),
      await ask({ login_hint: '"\\é\n' }),
      await ask({ binding_message: "\u0007" }),
      await ask({ authorization_details: '[{"type":"ü\\"\\\\"}]' }),
      await world.post("/bc-authorize", "%"),
    ];
    for (const { status, headers, body } of errors) {
      assert.ok(status >= 400 && status < 500);
      assert.match(headers["content-type"] ?? "", /^application\/json/);
      assert.equal(typeof body.error, "string");
      assert.match(body.error_description, describable);
    }
  },
);

scenario(
  "a denied action returns 403 access_denied until the denial is released",
  ["ciba-13-12"],
  async () => {
    const details = { authorization_details: world.refund() };
    await world.deny(await world.asked(world.agent("agent"), details));
    assert.deepEqual(refusal(await ask(details)), [403, "access_denied"]);
  },
);

scenario("a request without an action is refused", ["fapi-ciba-5.2.2-2"], async () => {
  assert.deepEqual(refusal(await ask({ scope: "openid" })), [400, "invalid_authorization_details"]);
});
