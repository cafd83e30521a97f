/** authorization_details and the audience of the token (RFC 9396, RFC 8707). */
import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({ agents: [{ id: "calendar", types: ["calendar.clear"] }] });

const agent = () => world.agent("agent");
const good = { type: "refund", order: "R-9", amount: "1.00", currency: "USD" };
const refused = [400, "invalid_authorization_details"];
const asks = async (details: unknown) =>
  refusal(
    await world.ask(agent(), {
      authorization_details: typeof details === "string" ? details : JSON.stringify(details),
    }),
  );

scenario("details must be a JSON array of objects with a type", ["rfc9396-2-1", "rfc9396-2-2"], async () => {
  const { type, ...typeless } = good;
  for (const details of [
    "{",
    "x",
    good,
    type,
    7,
    null,
    [],
    [7],
    ["refund"],
    [[good]],
    [typeless],
    [{ ...good, type: 7 }],
  ])
    assert.deepEqual(await asks(details), refused, JSON.stringify(details));
});

scenario(
  "refuses unknown types, unknown fields, invalid values and missing fields",
  ["rfc9396-5-1", "rfc9396-5-2", "rfc9396-5-3", "rfc9396-5-4", "rfc9396-5-5"],
  async () => {
    const { order, ...orderless } = good;
    const wrong = [
      [{ ...good, type: "transfer" }],
      [{ ...good, locations: ["https://refunds.example"] }],
      [{ ...good, order: 9 }],
      [{ ...good, quantity: "3" }],
      [{ ...good, quantity: 1.5 }],
      [{ ...good, amount: "-1.00" }],
      [{ ...good, currency: "XXX" }],
      [orderless],
    ];
    for (const details of wrong) assert.deepEqual(await asks(details), refused, JSON.stringify(details));
    assert.equal(order, "R-9");
  },
);

scenario("refuses duplicate keys and numbers that JSON would round", ["rfc9396-5-4"], async () => {
  const twice = `[{"type":"refund","order":"A","order":"B","amount":"1.00","currency":"USD"}]`;
  const rounded = `[{"type":"refund","order":"A","amount":"1.00","currency":"USD","quantity":9007199254740993}]`;
  for (const details of [twice, rounded]) assert.deepEqual(await asks(details), refused);
});

scenario("refuses types that the agent is not registered for", ["rfc9396-5-6", "rfc9396-10-2"], async () => {
  const calendar = world.agent("calendar");
  assert.deepEqual(refusal(await world.ask(calendar)), refused);
  assert.equal((await world.ask(calendar, { scope: "openid calendar.clear" })).status, 200);
  assert.deepEqual(refusal(await world.ask(calendar, { scope: "openid calendar.leave" })), [
    400,
    "invalid_scope",
  ]);
});

scenario("metadata lists the types, and each is published", ["rfc9396-10-1"], async () => {
  const { authorization_details_types_supported } = await world.metadata();
  assert.deepEqual(authorization_details_types_supported, ["refund"]);
});

scenario("refuses an action scope together with details", ["rfc9396-3.1-1"], async () => {
  const details = world.refund();
  const both = await world.ask(agent(), { scope: "openid calendar.clear", authorization_details: details });
  assert.deepEqual(refusal(both), refused);
  assert.equal((await world.ask(agent(), { scope: "openid", authorization_details: details })).status, 200);
});

scenario("the card shows every requested field", ["rfc9396-3.1-2", "rfc9396-12-1"], async () => {
  const reason = "<b>urgent</b> & 'signed' </script>";
  const authReqId = await world.asked(agent(), {
    authorization_details: world.refund({ quantity: 3, reason }),
  });
  const { body } = await world.call(world.headless.url.replace("{auth_req_id}", authReqId));
  const shown = [...body.rows, ...body.words].map(({ label }: { label: string }) => label);
  assert.deepEqual(shown, ["Amount", "Order", "Quantity", "Reason given"]);
  assert.equal(body.words[0].value, reason);
});

scenario(
  "the granted details are in token response, access token and introspection",
  ["rfc9396-7-1", "rfc9396-9-1", "rfc9396-9.1-1", "rfc9396-9.2-1"],
  async () => {
    const details = world.refund({ quantity: 2, reason: "not part of the grant" });
    const { body } = await world.approved(agent(), { authorization_details: details });
    const { reason, ...bound } = JSON.parse(details)[0];
    assert.equal(reason, "not part of the grant");
    assert.deepEqual(body.authorization_details, [bound]);
    assert.deepEqual(decodeJwt(body.access_token).authorization_details, [bound]);
    const told = await world.introspect("refunds", body.access_token);
    assert.deepEqual(told.body.authorization_details, [bound]);
  },
);

scenario(
  "several details are decided and granted together, in their order",
  ["rfc9396-2-3", "rfc9396-7-1", "rfc9396-9.1-1", "rfc9396-9.2-1"],
  async () => {
    const details = [good, { ...good, order: "R-10", quantity: 2 }];
    const { body } = await world.approved(agent(), { authorization_details: JSON.stringify(details) });
    assert.deepEqual(body.authorization_details, details);
    assert.deepEqual(decodeJwt(body.access_token).authorization_details, details);
    const told = await world.introspect("refunds", body.access_token);
    assert.deepEqual(told.body.authorization_details, details);
    for (const wrong of [[good, good], [good, { ...good, type: "transfer" }], Array(11).fill(good)])
      assert.deepEqual(await asks(wrong), refused, JSON.stringify(wrong));
  },
);

scenario(
  "a resource must be the action's absolute URI without a fragment",
  ["rfc8707-2-1", "rfc8707-2-2", "rfc8707-2-3", "rfc9396-3.2-1", "rfc8707-2-4", "rfc9068-3-1"],
  async () => {
    const wrong = [
      "refunds",
      "/refunds",
      "https://refunds.example#x",
      "https://calendar.example",
      "https://other.example",
    ];
    for (const resource of wrong)
      assert.deepEqual(refusal(await world.ask(agent(), { resource })), [400, "invalid_target"], resource);
    const { body } = await world.approved(agent(), { resource: "https://refunds.example" });
    assert.equal(decodeJwt(body.access_token).aud, "https://refunds.example");
  },
);

scenario(
  "a resource other than the approved one is invalid_target at the token endpoint",
  ["rfc8707-2.2-1"],
  async () => {
    const authReqId = await world.asked(agent());
    await world.allow(authReqId);
    const other = await world.poll(agent(), authReqId, { resource: "https://calendar.example" });
    assert.deepEqual(refusal(other), [400, "invalid_target"]);
    assert.equal((await world.poll(agent(), authReqId, { resource: "https://refunds.example" })).status, 200);
  },
);

scenario(
  "several details have one card, one grant and one token",
  ["rfc9396-2-3", "rfc9396-3.1-2", "rfc9396-7-1"],
  async () => {
    const details = [...JSON.parse(world.refund()), ...JSON.parse(world.refund({ amount: "7.00" }))];
    const authReqId = await world.asked(agent(), { authorization_details: JSON.stringify(details) });
    const { body: card } = await world.call(world.headless.url.replace("{auth_req_id}", authReqId));
    assert.deepEqual(
      card.parts.map(({ sentence }: { sentence: string }) => sentence),
      details.map(({ order, amount }) => `Refund €${amount} for order “${order}”`),
    );
    await world.allow(authReqId);
    const { body } = await world.poll(agent(), authReqId);
    assert.deepEqual(body.authorization_details, details);
    assert.deepEqual(decodeJwt(body.access_token).authorization_details, details);
    assert.deepEqual(
      (await world.introspect("refunds", body.access_token)).body.authorization_details,
      details,
    );
    const [first] = details;
    assert.deepEqual(await asks([first, { ...first, type: "unknown" }]), refused);
  },
);
