/** DPoP at the token endpoint (RFC 9449) on a whole server: bound tokens, replay across restarts, nonces. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  type HttpReply,
  issuer,
  refund,
  toBasicAuth,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { createProofKey, type ProofKey } from "@countersign/testing/server/dpop-key";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { decodeJwt } from "jose";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

const deployment = useDeployment();
let bound: { readonly id: string; readonly secret: string };
let key: ProofKey;
const htu = `${issuer}/oauth/token`;
beforeTests(async () => {
  const added = await addAgent(deployment.server.store, {
    id: "agent-bound",
    name: "Bound agent",
    types: ["refund"],
    credential: { method: "client_secret_basic" },
    binding: "dpop",
  });
  assert.ok("secret" in added);
  bound = { id: "agent-bound", secret: added.secret ?? "" };
});
beforeEach(async () => {
  key = await createProofKey();
  // So that nothing waited for in one test is polled too fast in the next.
  deployment.clock.now += 60_000;
});

let orders = 0;
async function ask(agent = deployment.agent): Promise<string> {
  orders += 1;
  const details = JSON.stringify([{ ...refund, order: `D-${orders}` }]);
  const asked = await deployment.ask({ authorization_details: details }, toBasicAuth(agent));
  assert.equal(asked.status, 200);
  return asked.body.auth_req_id;
}
async function approved(agent = deployment.agent): Promise<string> {
  const ticket = await ask(agent);
  await deployment.ada.decide(toRequestId(ticket), "approve");
  return ticket;
}
const redeem = (ticket: string, proof?: string, agent = deployment.agent): Promise<HttpReply> =>
  deployment.post(
    "/oauth/token",
    { grant_type: cibaGrantType, auth_req_id: ticket },
    { ...toBasicAuth(agent), ...(proof !== undefined && { dpop: proof }) },
  );
const prove = (changed: Record<string, unknown> = {}, header = {}) =>
  key.prove({ htu, now: deployment.clock.now, ...changed }, header);

describe("DPoP", () => {
  test("binds the token to the proven key, in response, token, introspection and log", async () => {
    const answer = await redeem(await approved(), await prove());
    assert.deepEqual([answer.status, answer.body.token_type], [200, "DPoP"]);
    const token = answer.body.access_token;
    assert.deepEqual(decodeJwt(token).cnf, { jkt: key.jkt });
    const { body } = await deployment.post("/introspect", { token }, toBasicAuth(deployment.api));
    assert.deepEqual([body.token_type, body.cnf], ["DPoP", { jkt: key.jkt }]);
    const entries = await deployment.server.store.log.newest(5);
    const issued = entries.map(({ line }) => JSON.parse(line)).find(({ event }) => event === "token.issued");
    assert.deepEqual(issued.facts.cnf, { jkt: key.jkt });
  });

  test("issues a bearer token without a proof, except to an agent registered for bound tokens", async () => {
    const free = await redeem(await approved());
    assert.deepEqual([free.body.token_type, decodeJwt(free.body.access_token).cnf], ["Bearer", undefined]);
    const ticket = await approved(bound);
    const refused = await redeem(ticket, undefined, bound);
    assert.deepEqual([refused.status, refused.body.error], [400, "invalid_dpop_proof"]);
    assert.equal(refused.headers.get("www-authenticate"), null);
    assert.equal(
      (await redeem(ticket, await prove(), bound)).body.token_type,
      "DPoP",
      "and nothing was lost",
    );
  });

  test("rejects a proof used for a pending poll, also after a restart (T59)", async () => {
    const ticket = await ask();
    const proof = await prove();
    assert.equal((await redeem(ticket, proof)).body.error, "authorization_pending");
    await deployment.ada.decide(toRequestId(ticket), "approve");
    const replayed = await redeem(ticket, proof);
    assert.equal(replayed.body.error, "invalid_dpop_proof");
    assert.match(replayed.body.error_description, /used before/);
    await deployment.restart();
    assert.equal((await redeem(ticket, proof)).body.error, "invalid_dpop_proof");
    assert.equal((await redeem(ticket, await prove())).status, 200);
  });

  test("accepts one of ten concurrent requests with the same proof (T59)", async () => {
    const ticket = await ask();
    const proof = await prove();
    const answers = await Promise.all(Array.from({ length: 10 }, () => redeem(ticket, proof)));
    const errors = answers.map(({ body }) => body.error).sort();
    assert.deepEqual(errors, ["authorization_pending", ...Array(9).fill("invalid_dpop_proof")]);
  });

  test("stores the jti until every node rejects the proof as too old", async () => {
    const kept = async () =>
      (await deployment.server.store.due("replay", Number.MAX_SAFE_INTEGER, 999)).map(
        ({ record }) => record.id,
      );
    const before = await kept();
    const proof = await prove();
    const ticket = await ask();
    await redeem(ticket, proof);
    const [id] = (await kept()).filter((one) => !before.includes(one));
    assert.ok(id);
    deployment.clock.now += 90_000;
    await deployment.server.runJobs();
    assert.match(
      (await redeem(ticket, proof)).body.error_description,
      /the DPoP proof's iat is missing, too old or in the future/,
    );
    assert.ok((await kept()).includes(id), "a node whose clock is behind might still take it");
    deployment.clock.now += 60_000;
    await deployment.server.runJobs();
    assert.equal((await kept()).includes(id), false);
  });

  test("compares htu with the configured URL after normalization, never with the Host header", async () => {
    const spellings = [`${htu}?x=1#y`, htu.toUpperCase().replace("/OAUTH/TOKEN", "/oauth/%74oken")];
    for (const spelled of spellings)
      assert.equal(
        (await redeem(await ask(), await prove({ htu: spelled }))).body.error,
        "authorization_pending",
      );
    const evil = new Request("https://evil.example/oauth/token", {
      method: "POST",
      headers: {
        ...toBasicAuth(deployment.agent),
        "content-type": "application/x-www-form-urlencoded",
        dpop: await prove({ htu: "https://evil.example/oauth/token" }),
      },
      body: new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: await ask() }),
    });
    assert.equal(((await (await deployment.server.fetch(evil)).json()) as any).error, "invalid_dpop_proof");
  });

  test("requires a nonce if configured, sends one, and does not count that response as a poll", async (t) => {
    await deployment.restart({ dpop: { require_nonce: true } });
    t.after(() => deployment.restart());
    const ticket = await ask();
    for (const nonce of [undefined, "", "guessed", 7]) {
      const answer = await redeem(ticket, await prove({ nonce }));
      assert.deepEqual([answer.status, answer.body.error], [400, "use_dpop_nonce"]);
      assert.equal(answer.headers.get("www-authenticate"), null);
    }
    const first = await redeem(ticket, await prove());
    const nonce = first.headers.get("dpop-nonce") ?? "";
    assert.match(nonce, /^[\x21\x23-\x5b\x5d-\x7e]+$/);
    const poll = await redeem(ticket, await prove({ nonce }));
    assert.equal(poll.body.error, "authorization_pending", "the first poll, and not too fast");
    assert.equal(poll.headers.get("dpop-nonce"), null, "it is fresh");

    deployment.clock.now += 5 * 60_000;
    const again = await approved();
    const aging = await redeem(again, await prove({ nonce: "x" }));
    const fresh = aging.headers.get("dpop-nonce");
    assert.notEqual(fresh, nonce);
    await deployment.restart({ dpop: { require_nonce: true } });
    const granted = await redeem(again, await prove({ nonce }));
    assert.equal(granted.status, 200, "the one before is still good, also after a restart");
    assert.equal(granted.headers.get("dpop-nonce"), fresh, "and the next one comes with the answer");
    const over = await redeem(again, await prove({ nonce }));
    assert.deepEqual([over.body.error, over.headers.get("dpop-nonce")], ["invalid_grant", fresh]);

    deployment.clock.now += 5 * 60_000;
    assert.equal((await redeem(await ask(), await prove({ nonce }))).body.error, "use_dpop_nonce");
  });
});
