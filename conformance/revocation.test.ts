/** Token revocation (RFC 7009). */
import assert from "node:assert/strict";
import { prove } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { type Form, openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({ agents: [{ id: "other" }] });

const agent = () => world.agent("agent");
async function revoke(form: Form, by = agent()) {
  const { revocation_endpoint } = await world.metadata();
  const own = await prove(by, world.issuer);
  return await world.post(revocation_endpoint, { ...form, ...own.form }, { headers: own.headers });
}
const isActive = async (token: string) => (await world.introspect("refunds", token)).body.active;

scenario(
  "a revoked token is invalid at once; revoking it again returns 200",
  ["rfc7009-2-2", "rfc7009-2.1-4", "rfc7009-2.2-1", "rfc7662-4-1"],
  async () => {
    const { access_token: token } = (await world.approved(agent())).body;
    assert.equal(await isActive(token), true);
    assert.equal((await revoke({ token })).status, 200);
    assert.equal(await isActive(token), false);
    assert.equal((await revoke({ token })).status, 200);
  },
);

scenario("revoking an unknown token returns 200", ["rfc7009-2.2-2"], async () => {
  assert.equal((await revoke({ token: "unknown" })).status, 200);
});

scenario("another agent's token is not revoked", ["rfc7009-2.1-3"], async () => {
  const { access_token: token } = (await world.approved(agent())).body;
  const answer = await revoke({ token }, world.agent("other"));
  assert.ok(answer.status < 500);
  assert.equal(await isActive(token), true);
});

scenario("any token_type_hint is accepted", ["rfc7009-2.1-5"], async () => {
  for (const token_type_hint of ["access_token", "refresh_token", "unheard_of"]) {
    const { access_token: token } = (await world.approved(agent())).body;
    assert.equal((await revoke({ token, token_type_hint })).status, 200);
    assert.equal(await isActive(token), false, token_type_hint);
  }
});

scenario(
  "revocation requires client authentication and a token",
  ["rfc7009-2.1-1", "rfc7009-2.1-2", "rfc7009-2.2.1-1"],
  async () => {
    const { access_token: token } = (await world.approved(agent())).body;
    const { revocation_endpoint } = await world.metadata();
    assert.deepEqual(refusal(await world.post(revocation_endpoint, { token })), [401, "invalid_client"]);
    assert.equal(await isActive(token), true);
    const without = await revoke({});
    assert.deepEqual(refusal(without), [400, "invalid_request"]);
    assert.match(without.headers["content-type"] ?? "", /^application\/json/);
  },
);
