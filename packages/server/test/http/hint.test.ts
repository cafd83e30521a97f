/** Whom an agent can name, over HTTP: the forms of `login_hint`, and our own ID token as `id_token_hint`. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { decodeJwt, generateKeyPair, SignJWT } from "jose";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";
import { rotateTokenKey } from "../../src/usecase/key/keyring.ts";

const groups = { seniors: ["Bob@example.com", "carol@example.com"], board: ["carol@example.com"] };

const deployment = useDeployment({ config: { groups }, approvers: ["ada", "bob", "carol"] });

let order = 0;
const action = () => JSON.stringify([{ ...refund, order: `W-${++order}` }]);
const askBy = (hint: Readonly<Record<string, string>>) =>
  deployment.ask({ login_hint: undefined, authorization_details: action(), ...hint });

async function askedBy(hint: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const answer = await askBy(hint);
  assert.equal(answer.status, 200, answer.body.error_description);
  const held = await deployment.server.store.read("request", toRequestId(answer.body.auth_req_id));
  return held?.record.candidates ?? [];
}

async function refusedBy(hint: Readonly<Record<string, string>>, error: string): Promise<void> {
  const before = await deployment.server.store.listRequests({ limit: 100 });
  const answer = await askBy(hint);
  assert.deepEqual([answer.status, answer.body.error], [400, error], answer.body.error_description);
  assert.deepEqual(await deployment.server.store.listRequests({ limit: 100 }), before);
}

describe("login_hint", () => {
  test("selects the members of a group who may decide, and nobody else (T8)", async () => {
    assert.deepEqual(await askedBy({ login_hint: "group:finance" }), [
      deployment.ada.approver,
      deployment.bob.approver,
    ]);
    assert.deepEqual(await askedBy({ login_hint: "group:seniors" }), [deployment.bob.approver]);
  });

  for (const group of ["board", "nobody", "", "constructor", "bob@example.com"])
    test(`rejects the group "${group}" without an allowed member as unknown_user_id (T8)`, async () => {
      await refusedBy({ login_hint: `group:${group}` }, "unknown_user_id");
    });

  test("rejects a malformed JSON identifier as unknown_user_id", async () => {
    await refusedBy({ login_hint: '{"format":"opaque"' }, "unknown_user_id");
  });
});

/** An ID token as the agent was given it, for an action that ada approved. */
async function idToken(): Promise<string> {
  const asked = await deployment.ask({ authorization_details: action() });
  await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
  return (await deployment.poll(asked.body.auth_req_id)).body.id_token;
}

describe("id_token_hint", () => {
  test("rejects a foreign token, a token of another type and a token of another agent (T6)", async () => {
    const good = await idToken();
    const asked = await deployment.ask({ authorization_details: action() });
    await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
    const accessToken = (await deployment.poll(asked.body.auth_req_id)).body.access_token;
    const claims = decodeJwt(good);
    const { privateKey } = await generateKeyPair("ES256");
    const forge = (header: object, changed: object = {}) =>
      new SignJWT({ ...claims, ...changed })
        .setProtectedHeader({ alg: "ES256", typ: "JWT", ...header })
        .sign(privateKey);
    const { kid } = JSON.parse(Buffer.from(good.split(".")[0] ?? "", "base64url").toString());
    const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${good.split(".")[1]}.`;
    for (const id_token_hint of [
      accessToken,
      await forge({ kid }),
      await forge({}),
      await forge({ kid: "log" }),
      unsigned,
      `${good.slice(0, -4)}AAAA`,
      "e30.e30.",
      "not a token",
    ])
      await refusedBy({ id_token_hint }, "invalid_request");

    const other = await addAgent(deployment.server.store, {
      id: "agent-2",
      name: "Another",
      types: ["refund"],
      credential: { method: "client_secret_basic" },
    });
    const secret = "secret" in other ? (other.secret ?? "") : "";
    const form = { scope: "openid", id_token_hint: good, authorization_details: action() };
    const answer = await deployment.post("/bc-authorize", form, toBasicAuth({ id: "agent-2", secret }));
    assert.deepEqual([answer.status, answer.body.error], [400, "invalid_request"]);
  });

  test("rejects the ID token of an approver who may not decide this action (T6)", async () => {
    const asked = await deployment.ask({ login_hint: "bob@example.com", authorization_details: action() });
    await deployment.bob.decide(toRequestId(asked.body.auth_req_id), "approve");
    const { id_token } = (await deployment.poll(asked.body.auth_req_id)).body;
    await refusedBy(
      {
        id_token_hint: id_token,
        authorization_details: JSON.stringify([{ type: "promote", service: "foo" }]),
      },
      "unknown_user_id",
    );
  });

  test("selects the approver of an earlier ID token, also expired or of a retired key (T6)", async () => {
    const hint = { id_token_hint: await idToken() };
    assert.deepEqual(await askedBy(hint), [deployment.ada.approver]);
    await rotateTokenKey(deployment.server.store, deployment.rootKey);
    deployment.clock.now += 24 * 3_600_000;
    await deployment.restart();
    const { keys } = (await (await deployment.request("/jwks")).json()) as { keys: readonly unknown[] };
    assert.equal(keys.length, 1, "the key that signed it is not published any more");
    assert.deepEqual(await askedBy(hint), [deployment.ada.approver]);
  });
});
