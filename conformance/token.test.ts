/** Access tokens, spending and introspection (RFC 9068, RFC 7662). */
import assert from "node:assert/strict";
import { decodeJwt, decodeProtectedHeader, UnsecuredJWT } from "jose";
import { basic, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer();

const agent = () => world.agent("agent");
const clear = { scope: "openid calendar.clear" };
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const clearCalendar = (token: string) => world.call(`${world.resource.url}/calendar.clear`, bearer(token));

scenario(
  "an access token is a signed JWT of type at+jwt with every claim that it has to have",
  [
    "rfc9068-2.1-1",
    "rfc9068-2.1-2",
    "rfc9068-2.2-1",
    "rfc9068-2.2.1-1",
    "rfc9068-2.2.3-1",
    "rfc9068-2.2.3-2",
    "rfc9068-3-2",
  ],
  async () => {
    const { body } = await world.approved(agent(), clear);
    const { typ, alg } = decodeProtectedHeader(body.access_token);
    assert.deepEqual([typ, alg], ["at+jwt", "ES256"]);
    const claims = decodeJwt(body.access_token);
    for (const claim of ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time", "acr", "amr"])
      assert.ok(claims[claim], claim);
    assert.equal(claims.client_id, "agent");
    assert.equal(claims.aud, "https://calendar.example");
    assert.equal(claims.scope, "openid calendar.clear");
    world.advanceClock(60_000);
  },
);

scenario(
  "the API accepts the token in the header, and returns JSON with a date and the caller's interaction id",
  ["fapi-base-6.2.1-1", "fapi-base-6.2.1-3"],
  async () => {
    const { body } = await world.approved(agent(), clear);
    const interaction = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a";
    const { headers } = bearer(body.access_token);
    for (const accept of [undefined, "application/json; charset=utf-8", "*/*"]) {
      const answer = await world.call(`${world.resource.url}/calendar.clear`, {
        headers: { ...headers, "x-fapi-interaction-id": interaction, ...(accept && { accept }) },
      });
      assert.equal(answer.status, 200);
      assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
      assert.equal(answer.headers["x-fapi-interaction-id"], interaction);
      assert.ok(answer.headers.date);
    }
    world.advanceClock(60_000);
  },
);

scenario("the API takes no token from the query", ["fapi-base-6.2.1-2"], async () => {
  const { body } = await world.approved(agent(), clear);
  const answer = await world.call(`${world.resource.url}/calendar.clear?access_token=${body.access_token}`);
  assert.equal(answer.status, 401);
  world.advanceClock(60_000);
});

scenario(
  "the API refuses an ID token, a token of another issuer, for another API, unsigned, mangled or expired",
  ["rfc9068-4-2", "rfc9068-4-3", "rfc9068-4-4", "rfc9068-4-5", "rfc9068-4-6"],
  async () => {
    const { body } = await world.approved(agent(), clear);
    const token: string = body.access_token;
    const claims = decodeJwt(token);
    const refund = (await world.approved(agent())).body.access_token;
    const [header, payload, signature] = token.split(".");
    const forged = { ...agent(), algorithm: "ES256" } as const;
    const wrong = {
      "an ID token": body.id_token,
      "our claims, another key": await signAs(forged, claims, { typ: "at+jwt" }),
      "another issuer": await signAs(forged, { ...claims, iss: "https://other.example" }, { typ: "at+jwt" }),
      "another API": refund,
      unsigned: new UnsecuredJWT(claims).encode(),
      mangled: `${header}.${payload}x.${signature}`,
      nothing: "x",
    };
    for (const [what, given] of Object.entries(wrong))
      assert.equal((await clearCalendar(given)).status, 401, what);
    assert.equal((await clearCalendar(token)).status, 200);
    world.advanceClock(70_000);
    assert.equal((await clearCalendar(token)).status, 401);
  },
);

scenario("a token is valid for one refund only", ["rfc7662-4-1"], async () => {
  const details = world.refund();
  const { body } = await world.approved(agent(), { authorization_details: details });
  const [{ order, amount, currency }] = JSON.parse(details);
  const pay = (changed = {}) =>
    world.call(`${world.resource.url}/refunds`, {
      method: "POST",
      headers: { ...bearer(body.access_token).headers, "content-type": "application/json" },
      body: JSON.stringify({ order, amount, currency, ...changed }),
    });
  assert.equal((await pay({ amount: "9999.00" })).status, 403);
  assert.equal((await world.introspect("refunds", body.access_token)).body.active, true);
  assert.equal((await pay()).status, 200);
  assert.equal((await pay()).status, 401);
  assert.deepEqual((await world.introspect("refunds", body.access_token)).body, { active: false });
});

scenario(
  "introspection is a form with a token, from an API that proves itself",
  ["rfc7662-2.1-1", "rfc7662-2.1-2", "rfc7662-2.1-3", "rfc7662-2.2-1", "rfc7662-2.3-1"],
  async () => {
    const { body } = await world.approved(agent());
    const told = await world.introspect("refunds", body.access_token);
    assert.equal(told.status, 200);
    assert.match(told.headers["content-type"] ?? "", /^application\/json/);
    assert.equal(told.body.active, true);
    assert.deepEqual(refusal(await world.introspect("refunds", undefined)), [400, "invalid_request"]);
    for (const headers of [{}, basic("refunds-api", "wrong"), basic("agent", agent().secret!)])
      assert.deepEqual(refusal(await world.introspect("refunds", body.access_token, headers)), [
        401,
        "invalid_client",
      ]);
    assert.equal((await world.call("/introspect")).status, 404);
  },
);

scenario(
  "an unknown token, another API's and one that has expired are not active, and nothing more is said",
  ["rfc7662-2.2-2", "rfc7662-2.2-3", "rfc7662-4-1"],
  async () => {
    const { body } = await world.approved(agent());
    for (const [api, token] of [
      ["calendar", body.access_token],
      ["refunds", "unknown"],
      ["refunds", body.id_token],
    ])
      assert.deepEqual((await world.introspect(api!, token)).body, { active: false });
    world.advanceClock(61_000);
    assert.deepEqual((await world.introspect("refunds", body.access_token)).body, { active: false });
  },
);
