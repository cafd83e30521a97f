/** DPoP at the token endpoint (RFC 9449), by proofs made by hand: what is bound, and what is refused. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { cibaGrantType, proofAlgorithms } from "@countersign/protocol";
import {
  basic,
  type Deployment,
  deploy,
  type HttpReply,
  issuer,
  type Person,
  refund,
  requestIdOf,
} from "@countersign/testing/server/deployment";
import { createProofKey, type ProofKey } from "@countersign/testing/server/dpop-key";
import { decodeJwt, SignJWT, UnsecuredJWT } from "jose";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

let deployment: Deployment;
let ada: Person;
let bound: { readonly id: string; readonly secret: string };
let key: ProofKey;
const htu = `${issuer}/oauth/token`;
before(async () => {
  deployment = await deploy();
  ada = await deployment.enrol("ada@example.com");
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
after(async () => {
  assert.deepEqual(deployment.faults, []);
  await deployment.close();
});

let orders = 0;
async function ask(agent = deployment.agent): Promise<string> {
  orders += 1;
  const details = JSON.stringify([{ ...refund, order: `D-${orders}` }]);
  const asked = await deployment.ask({ authorization_details: details }, basic(agent));
  assert.equal(asked.status, 200);
  return asked.body.auth_req_id;
}
async function approved(agent = deployment.agent): Promise<string> {
  const ticket = await ask(agent);
  await ada.decide(requestIdOf(ticket), "approve");
  return ticket;
}
const redeem = (ticket: string, proof?: string, agent = deployment.agent): Promise<HttpReply> =>
  deployment.post(
    "/oauth/token",
    { grant_type: cibaGrantType, auth_req_id: ticket },
    { ...basic(agent), ...(proof !== undefined && { dpop: proof }) },
  );
const prove = (changed: Record<string, unknown> = {}, header = {}) =>
  key.prove({ htu, now: deployment.clock.now, ...changed }, header);

test("a proof of possession binds the token to its key: in the answer, the token, introspection and the log", async () => {
  const answer = await redeem(await approved(), await prove());
  assert.deepEqual([answer.status, answer.body.token_type], [200, "DPoP"]);
  const token = answer.body.access_token;
  assert.deepEqual(decodeJwt(token).cnf, { jkt: key.jkt });
  const { body } = await deployment.post("/introspect", { token }, basic(deployment.api));
  assert.deepEqual([body.token_type, body.cnf], ["DPoP", { jkt: key.jkt }]);
  const entries = await deployment.server.store.log.newest(5);
  const issued = entries.map(({ line }) => JSON.parse(line)).find(({ event }) => event === "token.issued");
  assert.deepEqual(issued.facts.cnf, { jkt: key.jkt });
});

test("without a proof the token is a bearer token, unless the agent is registered for bound ones: then there is none", async () => {
  const free = await redeem(await approved());
  assert.deepEqual([free.body.token_type, decodeJwt(free.body.access_token).cnf], ["Bearer", undefined]);
  const ticket = await approved(bound);
  const refused = await redeem(ticket, undefined, bound);
  assert.deepEqual([refused.status, refused.body.error], [400, "invalid_dpop_proof"]);
  assert.equal(refused.headers.get("www-authenticate"), null);
  assert.equal((await redeem(ticket, await prove(), bound)).body.token_type, "DPoP", "and nothing was lost");
});

test("each algorithm that the metadata names is taken, and no other", async () => {
  const metadata = await (await deployment.request("/.well-known/openid-configuration")).json();
  assert.deepEqual(metadata.dpop_signing_alg_values_supported, proofAlgorithms);
  for (const algorithm of proofAlgorithms) {
    key = await createProofKey(algorithm);
    const answer = await redeem(await approved(), await prove());
    assert.deepEqual(decodeJwt(answer.body.access_token).cnf, { jkt: key.jkt }, algorithm);
  }
  key = await createProofKey("ES512");
  assert.equal((await redeem(await approved(), await prove())).body.error, "invalid_dpop_proof");
});

test("a proof that is not good is refused and never ignored, and costs the approval nothing", async () => {
  const ticket = await approved();
  const other = await createProofKey();
  const good = await prove();
  const secret = new TextEncoder().encode("a secret that everybody could know, and that is long enough");
  const claims = { htm: "POST", htu, iat: deployment.clock.now / 1000, jti: "x" };
  const symmetric = { kty: "oct", k: Buffer.from(secret).toString("base64url") };
  const bad: [string, string][] = [
    ["empty", ""],
    ["no JWT", "proof"],
    ["two in one header", `${good}, ${await prove()}`],
    ["longer than any proof", await prove({ jti: "j".repeat(9000) })],
    ["for another method", await prove({ htm: "GET" })],
    ["for another endpoint", await prove({ htu: `${issuer}/bc-authorize` })],
    ["for another host", await prove({ htu: "https://evil.example/oauth/token" })],
    ["too old", await prove({ iat: deployment.clock.now / 1000 - 90 })],
    ["from the future", await prove({ iat: deployment.clock.now / 1000 + 31 })],
    ["without a time", await prove({ iat: undefined })],
    ["without an id", await prove({ jti: undefined })],
    ["without a method", await prove({ htm: undefined })],
    ["of another type", await prove({}, { typ: "JWT" })],
    ["of no type", await prove({}, { typ: undefined })],
    ["without a key", await prove({}, { jwk: undefined })],
    ["with somebody else's key", await prove({}, { jwk: other.publicJwk })],
    ["with the private key in it", await prove({}, { jwk: key.privateJwk })],
    ["with a critical header nobody knows", await prove({}, { crit: ["x"], x: 1 }).catch(() => "a.b.c")],
    ["unsigned", `${new UnsecuredJWT(claims).encode()}AAAA`],
    [
      "signed with a shared secret",
      await new SignJWT(claims)
        .setProtectedHeader({ alg: "HS256", typ: "dpop+jwt", jwk: symmetric })
        .sign(secret),
    ],
    ["with another signature", `${good.slice(0, -6)}AAAAAA`],
  ];
  for (const [name, proof] of bad) {
    const answer = await redeem(ticket, proof);
    assert.deepEqual([answer.status, answer.body.error], [400, "invalid_dpop_proof"], name);
    assert.ok(answer.body.error_description, name);
  }
  assert.equal((await redeem(ticket, good)).status, 200);
});

test("T59: a proof is used up by a poll that is still pending, and nobody uses it again, also after a restart", async () => {
  const ticket = await ask();
  const proof = await prove();
  assert.equal((await redeem(ticket, proof)).body.error, "authorization_pending");
  await ada.decide(requestIdOf(ticket), "approve");
  const replayed = await redeem(ticket, proof);
  assert.equal(replayed.body.error, "invalid_dpop_proof");
  assert.match(replayed.body.error_description, /used before/);
  await deployment.restart();
  assert.equal((await redeem(ticket, proof)).body.error, "invalid_dpop_proof");
  assert.equal((await redeem(ticket, await prove())).status, 200);
});

test("T59: of ten requests with one proof at the same time, one is heard", async () => {
  const ticket = await ask();
  const proof = await prove();
  const answers = await Promise.all(Array.from({ length: 10 }, () => redeem(ticket, proof)));
  const errors = answers.map(({ body }) => body.error).sort();
  assert.deepEqual(errors, ["authorization_pending", ...Array(9).fill("invalid_dpop_proof")]);
});

test("one id twice is a replay only under the same key", async () => {
  const ticket = await ask();
  assert.equal((await redeem(ticket, await prove({ jti: "same" }))).body.error, "authorization_pending");
  assert.equal((await redeem(ticket, await prove({ jti: "same" }))).body.error, "invalid_dpop_proof");
  key = await createProofKey();
  assert.equal((await redeem(ticket, await prove({ jti: "same" }))).body.error, "slow_down");
});

test("whoever cannot authenticate uses up nobody's proof", async () => {
  const ticket = await ask();
  const proof = await prove();
  const stranger = { id: deployment.agent.id, secret: "guessed" };
  assert.equal((await redeem(ticket, proof, stranger)).body.error, "invalid_client");
  assert.equal((await redeem(ticket, proof)).body.error, "authorization_pending");
});

test("a proof is remembered for as long as anybody might still take it, and then forgotten", async () => {
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
  assert.match((await redeem(ticket, proof)).body.error_description, /just now/);
  assert.ok((await kept()).includes(id), "a node whose clock is behind might still take it");
  deployment.clock.now += 60_000;
  await deployment.server.runJobs();
  assert.equal((await kept()).includes(id), false);
});

test("where the proof says it goes is compared with the configured URL, however either is spelled", async () => {
  const spellings = [`${htu}?x=1#y`, htu.toUpperCase().replace("/OAUTH/TOKEN", "/oauth/%74oken")];
  for (const spelled of spellings)
    assert.equal(
      (await redeem(await ask(), await prove({ htu: spelled }))).body.error,
      "authorization_pending",
    );
  const evil = new Request("https://evil.example/oauth/token", {
    method: "POST",
    headers: {
      ...basic(deployment.agent),
      "content-type": "application/x-www-form-urlencoded",
      dpop: await prove({ htu: "https://evil.example/oauth/token" }),
    },
    body: new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: await ask() }),
  });
  assert.equal(((await (await deployment.server.fetch(evil)).json()) as any).error, "invalid_dpop_proof");
});

test("a proof at /bc-authorize is not looked at: nothing is issued there", async () => {
  const details = JSON.stringify([{ ...refund, order: "D-unread" }]);
  assert.equal((await deployment.ask({ authorization_details: details }, { dpop: "nonsense" })).status, 200);
});

test("where a nonce is required, the answer brings one; asking for it is no poll, and the proof is good again", async (t) => {
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

test("where no nonce is required, one that a client still has is no obstacle", async () => {
  assert.equal(
    (await redeem(await ask(), await prove({ nonce: "old" }))).body.error,
    "authorization_pending",
  );
});
