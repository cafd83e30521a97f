/** Signed authentication requests (CIBA §7.1.1, FAPI-CIBA). */
import assert from "node:assert/strict";
import { EncryptJWT, importJWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import type { Credentials } from "./credential.ts";
import { requestClaims, seconds, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { type Form, openTestServer, type RequestStyle, refusal } from "./test-server.ts";

const world = await openTestServer({
  agents: [
    { id: "es", method: "private_key_jwt", algorithm: "ES256", signs_requests: true },
    { id: "ps", method: "private_key_jwt", algorithm: "PS256", signs_requests: true, one_algorithm: true },
    { id: "poster", method: "client_secret_post", signs_requests: true },
  ],
});
const [es, ps] = [world.agent("es"), world.agent("ps")];
const invalid = [400, "invalid_request"];
const asks = async (by: Credentials, style: RequestStyle, form: Form = {}) =>
  refusal(await world.ask(by, form, style));

scenario(
  "accepts a request signed with ES256 or PS256, and shows the signed values",
  ["ciba-7.1.1-1", "ciba-7.1.1-11", "ciba-7.2-2", "ciba-4-3", "fapi-adv-5.2.2-10", "fapi-adv-5.2.2-15"],
  async () => {
    const { backchannel_authentication_request_signing_alg_values_supported: algorithms } =
      await world.metadata();
    for (const agent of [es, ps, world.agent("poster")]) {
      assert.ok(algorithms.includes(agent.algorithm));
      const answer = await world.ask(agent, { binding_message: "Signed 4711" });
      assert.equal(answer.status, 200, answer.text);
      const shown = await world.call(world.headless.url.replace("{auth_req_id}", answer.body.auth_req_id));
      assert.equal(shown.body.message, "Signed 4711");
      await world.allow(answer.body.auth_req_id);
      assert.equal((await world.poll(agent, answer.body.auth_req_id)).status, 200);
    }
    assert.equal((await asks(es, { header: { typ: "oauth-authz-req+jwt" } }))[0], 200);
    assert.equal((await asks(es, { request: { aud: [world.issuer] } }))[0], 200);
    assert.ok(!algorithms.some((algorithm: string) => /none|HS/.test(algorithm)));
  },
);

scenario("accepts requested_expiry as a number and as a string", ["ciba-7.1.1-2"], async () => {
  for (const requested_expiry of [45, "45"]) {
    const answer = await world.ask(es, {}, { request: { requested_expiry } });
    assert.equal(answer.body.expires_in, 45, answer.text);
  }
  for (const requested_expiry of [0, -1, 1.5, "x", true])
    assert.deepEqual(await asks(es, { request: { requested_expiry } }), invalid, String(requested_expiry));
});

scenario("accepts details as JSON and as a JSON string", ["ciba-7.1.1-1"], async () => {
  for (const details of [JSON.parse(world.refund()), world.refund()]) {
    const answer = await world.ask(
      es,
      { authorization_details: undefined },
      { request: { authorization_details: details } },
    );
    assert.equal(answer.status, 200, answer.text);
  }
});

scenario(
  "refuses a request with missing claims, another audience or another issuer",
  ["ciba-7.1.1-4", "ciba-7.1.1-5", "ciba-7.1.1-6", "ciba-7.1.1-7", "ciba-7.1.1-8", "ciba-7.1.1-9"],
  async () => {
    const now = seconds();
    const wrong: readonly Readonly<Record<string, unknown>>[] = [
      { aud: undefined },
      { aud: "https://other.example" },
      { aud: `${world.issuer}/other` },
      { iss: undefined },
      { iss: "ps" },
      { iss: world.issuer },
      { exp: undefined },
      { exp: now - 120 },
      { exp: "later" },
      { iat: undefined },
      { nbf: undefined },
      { nbf: now + 600 },
      { jti: undefined },
      { jti: "" },
      { client_id: "ps" },
    ];
    for (const request of wrong)
      assert.deepEqual(await asks(es, { request }), invalid, JSON.stringify(request));
  },
);

scenario("accepts a request object once", ["ciba-7.1.1-9"], async () => {
  const send = async (claims: JWTPayload) => {
    const form = { scope: undefined, login_hint: undefined, request: await signAs(es, claims) };
    return await world.ask(es, form, { unsigned: true });
  };
  const claims = requestClaims("es", world.issuer, parameters());
  const first = await send(claims);
  assert.equal(first.status, 200, first.text);
  // A replayed object creates no request: it is refused, or returns the request that it created.
  const again = await send(claims);
  assert.ok(again.status === 400 || again.body.auth_req_id === first.body.auth_req_id);
  // The same `jti` cannot create another request.
  assert.deepEqual(refusal(await send({ ...claims, authorization_details: world.refund() })), invalid);
});

function parameters() {
  return { scope: "openid", login_hint: "ada@example.com", authorization_details: world.refund() };
}

scenario(
  "refuses request parameters beside the request object",
  ["ciba-7.1.1-10", "fapi-adv-5.2.2-10"],
  async () => {
    for (const beside of [
      { scope: "openid" },
      { binding_message: "beside" },
      { login_hint: "ada@example.com" },
    ]) {
      const form = { login_hint: undefined, scope: undefined, ...beside };
      const request = await signAs(es, requestClaims("es", world.issuer, parameters()));
      assert.deepEqual(
        await asks(es, { unsigned: true }, { ...form, request }),
        invalid,
        JSON.stringify(beside),
      );
    }
  },
);

scenario(
  "refuses a request that is unsigned, or signed with a secret, another agent's key or another algorithm",
  ["ciba-7.1.1-3", "ciba-7.2-2", "ciba-4-11", "fapi-adv-8.6-2", "fapi-adv-8.6-3"],
  async () => {
    const claims = () => requestClaims("es", world.issuer, parameters());
    const good = await signAs(es, claims());
    const { secret = "" } = world.agent("poster");
    const rs256 = await importJWK({ ...ps.key, alg: "RS256" }, "RS256");
    const wrong: readonly (readonly [Credentials, string])[] = [
      [es, new UnsecuredJWT(claims()).encode()],
      [es, `${good.slice(0, -8)}AAAAAAAA`],
      [es, await signAs(ps, claims())],
      [es, "not.a.jwt"],
      [
        world.agent("poster"),
        await new SignJWT(requestClaims("poster", world.issuer, parameters()))
          .setProtectedHeader({ alg: "HS256" })
          .sign(new TextEncoder().encode(secret)),
      ],
      [
        ps,
        await new SignJWT(requestClaims("ps", world.issuer, parameters()))
          .setProtectedHeader({ alg: "RS256", kid: ps.key.kid! })
          .sign(rs256),
      ],
    ];
    for (const [by, request] of wrong)
      assert.deepEqual(
        await asks(by, { unsigned: true }, { scope: undefined, login_hint: undefined, request }),
        invalid,
      );
    assert.deepEqual(await asks(es, { signer: ps }), invalid);
  },
);

scenario("an encrypted request is refused", ["ciba-7.1.1-12"], async () => {
  const { keys } = (await world.call((await world.metadata()).jwks_uri)).body;
  const request = await new EncryptJWT(requestClaims("es", world.issuer, parameters()))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .encrypt(await importJWK({ ...keys[0], use: "enc" }, "ECDH-ES"));
  const form = { scope: undefined, login_hint: undefined, request };
  assert.deepEqual(await asks(es, { unsigned: true }, form), invalid);
});

scenario(
  "an agent that is registered to sign cannot send unsigned requests, and one that is not cannot send signed ones",
  ["ciba-4-11", "fapi-ciba-5.2.2-6"],
  async () => {
    assert.deepEqual(await asks(es, { unsigned: true }), invalid);
    const agent = world.agent("agent");
    const request = await signAs(agent, requestClaims("agent", world.issuer, parameters()));
    assert.deepEqual(await asks(agent, {}, { scope: undefined, login_hint: undefined, request }), invalid);
  },
);

scenario(
  "a signed request is valid for sixty minutes at most, and its nbf is at most sixty minutes ago",
  ["fapi-ciba-5.2.2-9", "fapi-adv-5.2.2-13", "fapi-adv-5.2.2-17"],
  async () => {
    const now = seconds();
    const wrong = [
      { exp: now + 70 * 60 },
      { nbf: now - 70 * 60 },
      { nbf: now + 10 * 60, exp: now + 20 * 60 },
    ];
    for (const request of wrong)
      assert.deepEqual(await asks(es, { request }), invalid, JSON.stringify(request));
    assert.equal((await asks(es, { request: { exp: now + 59 * 60 } }))[0], 200);
  },
);
