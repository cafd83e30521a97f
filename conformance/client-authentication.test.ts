/** Client authentication by secret and by signed assertion (CIBA §7.1, RFC 7523, RFC 6749 §2.3). */
import assert from "node:assert/strict";
import { constants, generateKeyPairSync, sign } from "node:crypto";
import type { JsonObject } from "@countersign/protocol";
import { importJWK, SignJWT, UnsecuredJWT } from "jose";
import { addAgent } from "../packages/server/src/usecase/client/client-lifecycle.ts";
import type { Credentials } from "./credential.ts";
import { asserted, assertionClaims, basic, type Proof, prove, seconds, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({
  agents: [
    { id: "poster", method: "client_secret_post" },
    { id: "signer", method: "private_key_jwt", algorithm: "ES256" },
    { id: "rsa", method: "private_key_jwt", algorithm: "PS256", one_algorithm: true },
    { id: "mac", method: "client_secret_jwt" },
  ],
});

/** Sends a request with this assertion. Returns the response. */
async function send(agent: Credentials, assertion: string, more: Readonly<Record<string, string>> = {}) {
  const proof = { form: { ...asserted(assertion), ...more }, headers: {} };
  const asked = await world.ask(agent, {}, { proof });
  return refusal(asked);
}
const claims = (changed = {}) => assertionClaims("signer", world.issuer, changed);
const invalidClient = [401, "invalid_client"];

scenario(
  "each registered method authenticates at both endpoints",
  ["ciba-4-6", "ciba-4-12", "ciba-7.1-1", "ciba-10.1-1"],
  async () => {
    const { token_endpoint_auth_methods_supported: methods } = await world.metadata();
    for (const id of ["agent", "poster", "signer", "rsa", "mac"]) {
      const agent = world.agent(id);
      assert.ok(methods.includes(agent.method), agent.method);
      const authReqId = await world.asked(agent);
      assert.equal((await world.poll(agent, authReqId)).body.error, "authorization_pending", id);
    }
  },
);

scenario(
  "another method, a wrong secret and missing authentication are invalid_client",
  ["ciba-7.1-1", "ciba-7.2-1", "ciba-10.1-1", "ciba-13-11", "fapi-ciba-5.2.2-1", "fapi-adv-5.2.2-16"],
  async () => {
    const { id, secret = "" } = world.agent("agent");
    const wrong: readonly Proof[] = [
      { form: {}, headers: {} },
      { form: { client_id: id }, headers: {} },
      { form: { client_id: id, client_secret: secret }, headers: {} },
      { form: {}, headers: basic(id, "wrong") },
      { form: {}, headers: basic("nobody", secret) },
    ];
    const authReqId = await world.asked(world.agent("agent"));
    for (const proof of wrong) {
      assert.deepEqual(refusal(await world.ask(world.agent("agent"), {}, { proof })), invalidClient);
      // Authentication comes first, whatever else is wrong with the request.
      const broken = await world.ask(world.agent("agent"), { scope: "nonsense" }, { proof });
      assert.deepEqual(refusal(broken), invalidClient);
      assert.deepEqual(
        refusal(await world.poll(world.agent("agent"), authReqId, {}, { proof })),
        invalidClient,
      );
    }
  },
);

scenario("failed Basic authentication returns 401 with WWW-Authenticate", ["ciba-13-11"], async () => {
  const proof = { form: {}, headers: basic("agent", "wrong") };
  const answer = await world.ask(world.agent("agent"), {}, { proof });
  assert.match(answer.headers["www-authenticate"] ?? "", /^Basic/);
});

scenario("two methods in one request are refused", ["ciba-7.1-1"], async () => {
  const { id, secret = "" } = world.agent("agent");
  const proof = { form: { client_id: id, client_secret: secret }, headers: basic(id, secret) };
  assert.deepEqual(refusal(await world.ask(world.agent("agent"), {}, { proof })), [400, "invalid_request"]);
});

scenario(
  "issuer, token endpoint and backchannel endpoint are accepted audiences",
  ["ciba-7.1-2", "rfc7523-3-3"],
  async () => {
    const document = await world.metadata();
    const audiences = [
      document.issuer,
      document.token_endpoint,
      document.backchannel_authentication_endpoint,
      [document.issuer],
    ];
    for (const aud of audiences) {
      const answer = await world.ask(world.agent("signer"), {}, { assertion: { aud } });
      assert.equal(answer.status, 200, String(aud));
    }
    for (const aud of ["https://other.example", [], undefined, 7, [document.issuer, "https://other.example"]])
      assert.deepEqual(
        await send(world.agent("signer"), await signAs(world.agent("signer"), claims({ aud }))),
        invalidClient,
      );
  },
);

scenario(
  "an assertion with a missing claim, or of another client, is invalid_client",
  ["rfc7523-3-1", "rfc7523-3-2", "rfc7523-3-4", "rfc7523-3.2-1", "rfc7523-3-9"],
  async () => {
    const now = seconds();
    const wrong = [
      { iss: undefined },
      { iss: "agent" },
      { sub: undefined },
      { sub: "agent" },
      { exp: undefined },
      { exp: now - 120 },
      { exp: "tomorrow" },
      { jti: undefined },
    ];
    for (const changed of wrong) {
      const assertion = await signAs(world.agent("signer"), claims(changed));
      assert.deepEqual(await send(world.agent("signer"), assertion), invalidClient, JSON.stringify(changed));
    }
  },
);

scenario("an assertion is refused before its nbf", ["rfc7523-3-5"], async () => {
  const early = await signAs(world.agent("signer"), claims({ nbf: seconds() + 120 }));
  assert.deepEqual(await send(world.agent("signer"), early), invalidClient);
});

scenario("an assertion valid for a year is refused", ["rfc7523-3-6"], async () => {
  const long = await signAs(world.agent("signer"), claims({ exp: seconds() + 31_536_000 }));
  assert.deepEqual(await send(world.agent("signer"), long), invalidClient);
});

scenario("an assertion is accepted once, also after a restart", ["rfc7523-3-7"], async () => {
  const once = await signAs(world.agent("signer"), claims());
  assert.equal((await send(world.agent("signer"), once))[0], 200);
  assert.deepEqual(await send(world.agent("signer"), once), invalidClient);
  await world.restart();
  assert.deepEqual(await send(world.agent("signer"), once), invalidClient);
});

scenario(
  "an assertion that is unsigned, signed by another key, or with the public key as a secret, is invalid_client",
  ["rfc7523-3-8", "rfc7523-3.2-1", "fapi-adv-8.6-3"],
  async () => {
    const signer = world.agent("signer");
    const good = await signAs(signer, claims());
    const { keys } = (await world.call((await world.metadata()).jwks_uri)).body;
    const hmac = await importJWK(
      { kty: "oct", k: Buffer.from(JSON.stringify(keys[0])).toString("base64url") },
      "HS256",
    );
    const wrong = [
      new UnsecuredJWT(claims()).encode(),
      `${good.slice(0, -8)}AAAAAAAA`,
      await signAs({ ...world.agent("rsa") }, claims()),
      await new SignJWT(claims()).setProtectedHeader({ alg: "HS256" }).sign(hmac),
    ];
    for (const assertion of wrong) assert.deepEqual(await send(signer, assertion), invalidClient);
  },
);

scenario("a JWT of another type is refused", ["rfc7523-3-9"], async () => {
  for (const typ of ["dpop+jwt", "at+jwt", "oauth-authz-req+jwt"]) {
    const assertion = await signAs(world.agent("signer"), claims(), { typ });
    assert.deepEqual(await send(world.agent("signer"), assertion), invalidClient, typ);
  }
});

scenario(
  "client_assertion must be one JWT, with the supported client_assertion_type",
  ["rfc7523-2.2-1", "rfc7523-2.2-2"],
  async () => {
    const signer = world.agent("signer");
    const good = await signAs(signer, claims());
    const proof = { form: { client_assertion: good, client_assertion_type: "urn:other" }, headers: {} };
    const [status, error] = refusal(await world.ask(signer, {}, { proof }));
    assert.ok(status === 400 || status === 401);
    assert.ok(["invalid_request", "invalid_client"].includes(error));
    assert.deepEqual(await send(signer, `${good} ${good}`), invalidClient);
    assert.deepEqual(await send(signer, "not.a.jwt"), invalidClient);
  },
);

scenario(
  "client_id beside an assertion or Basic must match",
  ["rfc7523-4-1", "fapi-base-5.2.2-19"],
  async () => {
    const signer = world.agent("signer");
    const good = () => signAs(signer, claims());
    assert.equal((await send(signer, await good(), { client_id: "signer" }))[0], 200);
    assert.deepEqual(await send(signer, await good(), { client_id: "agent" }), invalidClient);
    const { headers } = await prove(world.agent("agent"), world.issuer);
    const both = { form: { client_id: "poster" }, headers };
    assert.deepEqual(refusal(await world.ask(world.agent("agent"), {}, { proof: both })), invalidClient);
  },
);

scenario("keys on curves have at least 160 bits", ["fapi-base-5.2.2-6"], async () => {
  const { keys } = (await world.call((await world.metadata()).jwks_uri)).body;
  for (const { kty, x } of keys) if (kty === "EC") assert.ok(Buffer.from(x, "base64url").length >= 32);
});

scenario("an RSA key of less than 2048 bits is refused", ["fapi-base-5.2.2-5"], async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "weak-1", alg: "PS256" };
  // The command line refuses it as well; the server must not rely on that.
  const added = await addAgent(world.store, {
    id: "weak",
    name: "weak",
    types: ["refund"],
    credential: { method: "private_key_jwt" },
    keys: { from: "registration", jwks: [jwk as JsonObject] },
  });
  assert.ok(!("refused" in added));
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const unsigned = `${encode({ alg: "PS256", kid: "weak-1" })}.${encode(assertionClaims("weak", world.issuer))}`;
  const key = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signature = sign("sha256", Buffer.from(unsigned), key).toString("base64url");
  assert.deepEqual(await send(world.agent("signer"), `${unsigned}.${signature}`), invalidClient);
});
