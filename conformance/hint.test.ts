/** login_hint_token and id_token_hint (CIBA §7.1, §14). */
import assert from "node:assert/strict";
import { decodeJwt, exportJWK, generateKeyPair, UnsecuredJWT } from "jose";
import type { Credentials } from "./credential.ts";
import { seconds, signAs } from "./proof.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const issuerKeys = await generateKeyPair("ES256", { extractable: true });
const issuerKey = { ...(await exportJWK(issuerKeys.publicKey)), kid: "hr-1", alg: "ES256" };
const world = await openTestServer({
  login_hint_issuers: { "https://hr.example": { keys: [issuerKey] } },
  approvers: [
    { email: "ada@example.com", name: "Ada" },
    { email: "bob@example.com", name: "Bob" },
  ],
  agents: [{ id: "other" }],
});
const agent = () => world.agent("agent");
const asks = (id_token_hint: string, by = agent()) => world.ask(by, { login_hint: undefined, id_token_hint });

scenario(
  "an ID token of this server identifies its approver, also after expiry",
  ["ciba-7.1-12", "ciba-14-3"],
  async () => {
    const { id_token } = (await world.approved(agent())).body;
    const answer = await asks(id_token);
    assert.equal(answer.status, 200, answer.text);
    await world.allow(answer.body.auth_req_id);
    const { body } = await world.poll(agent(), answer.body.auth_req_id);
    assert.equal(decodeJwt(body.id_token).sub, decodeJwt(id_token).sub);
    world.advanceClock(3_600_000);
    assert.equal((await asks(id_token)).status, 200);
  },
);

scenario("an ID token of another agent is refused", ["ciba-14-5"], async () => {
  const { id_token } = (await world.approved(agent())).body;
  const answer = await asks(id_token, world.agent("other"));
  assert.equal(answer.status, 400);
  assert.ok(["invalid_request", "unknown_user_id"].includes(answer.body.error));
});

scenario("a token of another issuer, or of another type, is refused", ["ciba-14-4"], async () => {
  const { id_token, access_token } = (await world.approved(agent())).body;
  const claims = decodeJwt(id_token);
  const wrong = [
    access_token,
    `${id_token.slice(0, -8)}AAAAAAAA`,
    new UnsecuredJWT(claims).encode(),
    await signAs(agent(), claims),
    await signAs(agent(), { ...claims, iss: "https://other.example" }),
    "x",
  ];
  for (const hint of wrong) {
    const [status, error] = refusal(await asks(hint));
    assert.equal(status, 400);
    assert.ok(["invalid_request", "unknown_user_id"].includes(error), error);
  }
});

const hr = {
  id: "hr",
  algorithm: "ES256",
  key: { ...(await exportJWK(issuerKeys.privateKey)), kid: "hr-1" },
} as const;
async function hint(
  changed: Readonly<Record<string, unknown>> = {},
  by: Pick<Credentials, "key" | "algorithm"> = hr,
) {
  const person = { sub_id: { format: "email", email: "bob@example.com" } };
  const claims = {
    iss: "https://hr.example",
    aud: world.issuer,
    exp: seconds() + 300,
    ...person,
    ...changed,
  };
  const form = { login_hint: undefined, login_hint_token: await signAs(by, claims) };
  return await world.ask(agent(), form);
}

scenario(
  "a login_hint_token of a configured issuer identifies an approver",
  ["ciba-7.1-11", "ciba-14-1"],
  async () => {
    const answer = await hint();
    assert.equal(answer.status, 200, answer.text);
    const forged = await hint({}, agent());
    const strange = await hint({ iss: "https://other.example" });
    for (const refused of [forged, strange]) {
      assert.equal(refused.status, 400);
      assert.ok(["invalid_request", "unknown_user_id"].includes(refused.body.error));
    }
  },
);

scenario("an expired login_hint_token is expired_login_hint_token", ["ciba-13-5"], async () => {
  assert.deepEqual(refusal(await hint({ exp: seconds() - 120 })), [400, "expired_login_hint_token"]);
});
