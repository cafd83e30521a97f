/** Server metadata (CIBA §4, RFC 8414, OpenID Connect Discovery). */
import assert from "node:assert/strict";
import { cibaGrantType } from "@countersign/protocol";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer();

scenario(
  "metadata contains the backchannel endpoint, the modes and the grant, and the endpoint responds",
  ["ciba-4-1", "ciba-4-2", "ciba-4-5", "fapi-ciba-5.2.2-4", "fapi-base-5.2.2-22"],
  async () => {
    const document = await world.metadata();
    const modes: string[] = document.backchannel_token_delivery_modes_supported;
    assert.ok(modes.includes("poll"));
    assert.ok(modes.every((mode) => ["poll", "ping", "push"].includes(mode)));
    assert.ok(document.grant_types_supported.includes(cibaGrantType));
    const answer = await world.post(document.backchannel_authentication_endpoint, {});
    assert.deepEqual(refusal(answer), [401, "invalid_client"]);
  },
);

scenario(
  "metadata is served at both well-known paths as JSON",
  ["rfc8414-3-1", "rfc8414-3.1-1", "rfc8414-3.2-1"],
  async () => {
    for (const path of ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]) {
      const answer = await world.call(path);
      assert.equal(answer.status, 200);
      assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
      assert.equal(answer.body.issuer, world.issuer);
    }
  },
);

scenario(
  "issuer is a URL without query and fragment, and matches the metadata URL",
  ["rfc8414-2-1", "rfc8414-3.3-1"],
  async () => {
    const { issuer } = await world.metadata();
    const url = new URL(issuer);
    assert.equal(issuer, world.issuer);
    assert.deepEqual([url.search, url.hash], ["", ""]);
    // Plain HTTP is allowed on localhost only; elsewhere the configuration requires https.
    assert.ok(url.protocol === "https:" || url.hostname === "localhost");
  },
);

scenario(
  "metadata has the required endpoints and lists",
  ["rfc8414-2-2", "rfc8414-2-3", "rfc8414-2-6"],
  async () => {
    const document = await world.metadata();
    assert.equal(new URL(document.token_endpoint).origin, new URL(world.issuer).origin);
    assert.ok(Array.isArray(document.response_types_supported));
    // No grant type uses it; it is a page that explains this.
    const page = await world.call(document.authorization_endpoint);
    assert.match(page.headers["content-type"] ?? "", /^text\/html/);
  },
);

scenario("jwks_uri returns the public signing keys only", ["rfc8414-2-4", "rfc9068-4-1"], async () => {
  const { jwks_uri } = await world.metadata();
  const { body } = await world.call(jwks_uri);
  assert.ok(body.keys.length > 0);
  for (const key of body.keys) {
    assert.equal(typeof key.kid, "string");
    assert.equal(key.d, undefined);
  }
  const token = await world.approved(world.agent("agent"));
  const { kid } = JSON.parse(Buffer.from(token.body.access_token.split(".")[0], "base64url").toString());
  assert.ok(body.keys.some((key: { kid: string }) => key.kid === kid));
});

scenario("assertion algorithms are listed, without none", ["rfc8414-2-5", "fapi-adv-8.6-1"], async () => {
  const document = await world.metadata();
  const algorithms: string[] = document.token_endpoint_auth_signing_alg_values_supported;
  assert.ok(algorithms.includes("PS256") && algorithms.includes("ES256"));
  assert.ok(!algorithms.includes("none"));
  assert.ok(document.id_token_signing_alg_values_supported.includes("ES256"));
});

scenario("empty members are omitted", ["rfc8414-3.2-2"], async () => {
  const document = await world.metadata();
  const empty = Object.entries(document).filter(([, value]) => Array.isArray(value) && value.length === 0);
  assert.deepEqual(empty, []);
});
