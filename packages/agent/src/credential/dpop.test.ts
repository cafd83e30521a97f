import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { inspect } from "node:util";
import { calculateJwkThumbprint, EmbeddedJWK, exportJWK, generateKeyPair, type JWK, jwtVerify } from "jose";
import {
  accessToken,
  acknowledged,
  approved,
  metadataOf,
  oauthError,
  type Reply,
  type StandIn,
  standIn,
  testClock,
} from "../../test/stand-in.ts";
import { type AgentOptions, type Ask, createAgent } from "../agent.ts";

let stand: StandIn;
let ask: Ask;
const action = { type: "refund", order: "A-1001" };
const newAgent = (dpop: AgentOptions["dpop"] = true) =>
  createAgent(
    { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
    { clock: testClock(), dpop },
  );

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  const dpop_signing_alg_values_supported = ["ES256"];
  const body = { ...metadataOf(stand.issuer), dpop_signing_alg_values_supported };
  stand.metadata = [{ status: 200, body }];
  stand.ask = [acknowledged()];
  const asked = await newAgent().ask({ action, approver: "owner" });
  assert(asked.outcome === "asked");
  ask = asked.ask;
});

const bound = () => approved(stand, action, { token_type: "DPoP" });
const wantsNonce = (nonce: string): Reply => oauthError("use_dpop_nonce", {}, { "dpop-nonce": nonce });

/** Verifies a proof with its embedded key, and returns its claims. */
async function read(proof: unknown) {
  assert(typeof proof === "string");
  type Claims = { htm: string; htu: string; ath?: string; nonce?: string };
  const { payload, protectedHeader } = await jwtVerify<Claims>(proof, EmbeddedJWK, {
    typ: "dpop+jwt",
    currentDate: new Date(testClock().wall),
  });
  return {
    ...payload,
    key: await calculateJwkThumbprint(protectedHeader.jwk as JWK),
    header: protectedHeader,
    jwk: protectedHeader.jwk as JWK,
  };
}
const proofs = () => Promise.all(stand.seen.map(({ headers }) => read(headers.dpop)));

describe("DPoP", () => {
  test("proves a token request by a key of this process, and no authentication request", async () => {
    assert.equal(stand.seen.at(-1)?.headers.dpop, undefined);
    stand.seen.length = 0;
    stand.token = [await bound()];
    const agent = newAgent();
    const outcome = await agent.wait(ask);
    assert(outcome.outcome === "approved");
    assert.equal(outcome.tokenType, "DPoP");
    const [{ jti, key, header, jwk, ...claims } = assert.fail()] = await proofs();
    assert.deepEqual(claims, {
      htm: "POST",
      htu: `${stand.issuer}/oauth/token`,
      iat: testClock().wall / 1000,
    });
    assert.match(jti!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(Object.keys(jwk).sort(), ["crv", "kty", "x", "y"]);
    assert.equal(header.alg, "ES256");
  });

  test("makes one proof per API request, with the hash of the token and the API's nonce", async () => {
    stand.seen.length = 0;
    stand.token = [await bound()];
    const outcome = await newAgent().wait(ask);
    assert(outcome.outcome === "approved");
    const url = "https://payments.example/refunds?dry=1#top";
    const first = await outcome.headers("post", url);
    const second = await outcome.headers("post", new URL(url), "n-7");
    assert.equal(first.authorization, `DPoP ${accessToken}`);
    const [{ key } = assert.fail()] = await proofs();
    const [one, other] = [await read(first.dpop), await read(second.dpop)];
    const ath = createHash("sha256").update(accessToken).digest("base64url");
    for (const proof of [one, other]) {
      assert.equal(proof.key, key);
      assert.deepEqual([proof.htm, proof.htu, proof.ath], ["POST", "https://payments.example/refunds", ath]);
    }
    assert.notEqual(one.jti, other.jti);
    assert.deepEqual([one.nonce, other.nonce], [undefined, "n-7"]);
  });

  test("repeats a token request at once with the required nonce, then uses the newest nonce", async () => {
    stand.seen.length = 0;
    stand.token = [
      wantsNonce("n-1"),
      oauthError("authorization_pending", {}, { "dpop-nonce": "n-2" }),
      oauthError("authorization_pending"),
      await bound(),
    ];
    const clock = testClock();
    const agent = createAgent(
      { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
      { clock, dpop: true, longPollSeconds: 0 },
    );
    assert.equal((await agent.wait(ask)).outcome, "approved");
    const seen = await proofs();
    assert.deepEqual(
      seen.map(({ nonce }) => nonce),
      [undefined, "n-1", "n-2", "n-2"],
    );
    assert.equal(new Set(seen.map(({ jti }) => jti)).size, 4);
    assert.deepEqual(clock.slept, [5_000, 5_000, 5_000]);
  });

  test("leaves the request pending if the server requires another nonce each time", async () => {
    stand.seen.length = 0;
    stand.token = [wantsNonce("n-1"), wantsNonce("n-2"), await bound()];
    assert.equal((await newAgent().redeem(ask)).outcome, "pending");
    assert.equal(stand.seen.length, 2);
  });

  test("rejects an unbound token if a bound one was requested", async () => {
    stand.token = [await approved(stand, action)];
    await assert.rejects(newAgent().redeem(ask), /malformed: token_type/);
  });

  test("rejects a server without DPoP before an approver is notified", async () => {
    stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
    stand.seen.length = 0;
    await assert.rejects(newAgent().ask({ action, approver: "owner" }), /does not support DPoP/);
    assert.equal(stand.seen.length, 0);
  });

  test("uses the caller's key, and reveals neither it nor the token", async () => {
    const pair = await generateKeyPair("ES256", { extractable: true });
    const jwk = await exportJWK(pair.privateKey);
    const expected = await calculateJwkThumbprint(await exportJWK(pair.publicKey));
    const { privateKey, publicKey } = await generateKeyPair("EdDSA");
    for (const [dpop, key] of [
      [{ jwk }, expected],
      [pair, expected],
      [{ privateKey, publicKey }, await calculateJwkThumbprint(await exportJWK(publicKey))],
    ] as const) {
      stand.seen.length = 0;
      stand.token = [await bound()];
      const outcome = await newAgent(dpop).redeem(ask);
      assert(outcome.outcome === "approved");
      assert.equal((await proofs())[0]?.key, key);
      const { dpop: proof = "" } = await outcome.headers("GET", "https://payments.example/");
      assert.equal((await read(proof)).jwk.d, undefined);
      assert(!JSON.stringify(outcome).includes(accessToken) && !inspect(outcome).includes(accessToken));
    }
  });
});
