import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { actionDigest, type JsonObject, proofAlgorithms } from "@countersign/protocol";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import {
  audience,
  challenge,
  metadataOf,
  type StandIn,
  standIn,
  start,
  testClock,
  typeHash,
} from "../test/stand-in.ts";
import {
  type Action,
  createVerifier,
  type Problem,
  type Rejection,
  type Verifier,
  type VerifierOptions,
} from "./verifier.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
let problems: Problem[];
let verifier: Verifier;
let token: string;
const refund = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD", customer: "c-7" };
const { type, ...bound } = refund;

const newVerifier = (options?: Partial<VerifierOptions>) =>
  createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "payments",
    clientSecret: "s3cret",
    clock,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = testClock();
  problems = [];
  stand.spends.length = 0;
  verifier = newVerifier();
  token = await stand.issue(refund);
});

async function rejected(
  authorization: string | null | undefined,
  action: unknown = refund,
  by = verifier,
): Promise<Rejection> {
  const answer = await by.check(authorization, action as Action);
  assert(answer.outcome === "rejected");
  return answer;
}

describe("check", () => {
  test("accepts a token for this call, as a header or bare, and spends nothing", async () => {
    for (const authorization of [`Bearer ${token}`, `bearer  ${token}`, token])
      assert.deepEqual(await verifier.check(authorization, refund), {
        outcome: "checked",
        action: refund,
        agent: "refunder",
        approvedBy: ["appr_1"],
        subject: "appr_1",
        jti: `tok_${stand.tokens.size}`,
        digest: actionDigest({ type, typeHash, audience, bound }),
        expiresAt: start + 60_000,
      });
    assert.equal(stand.spends.length, 0);
  });

  test("rejects changed arguments with 403, and names the fields that differ (T9)", async () => {
    const cases: [object, string[]][] = [
      [{ ...refund, amount: "10000.01" }, ["amount"]],
      [{ ...refund, customer: "c-8", order: "B-2" }, ["order", "customer"]],
      [{ ...refund, fee: "1.00" }, ["fee"]],
      [{ ...refund, type: "payout" }, ["type"]],
      [{ type: "refund" }, ["order", "amount", "currency", "customer"]],
    ];
    for (const [action, differs] of cases) {
      const rejection = await rejected(token, action);
      assert.equal(rejection.reason, "digest_mismatch");
      assert.equal(rejection.status, 403);
      assert.deepEqual(rejection.differs, differs);
      assert.equal(
        rejection.headers["www-authenticate"],
        `Bearer realm="${audience}", error="insufficient_scope", error_description="The call is not the action that was approved: ${differs.join(", ")}"`,
      );
    }
  });

  test("compares the digest, not the authorization details of the token (T9)", async () => {
    const lying = await stand.issue(refund, { authorization_details: [{ ...refund, amount: "1.00" }] });
    assert.equal((await rejected(lying, { ...refund, amount: "1.00" })).reason, "digest_mismatch");
  });

  test("rejects the same call id with other content (T10)", async () => {
    const first = { type: "call", call_id: "call_1", amount: "5.00" };
    const approved = await stand.issue(first);
    assert.equal((await verifier.check(approved, first)).outcome, "checked");
    assert.equal((await rejected(approved, { ...first, amount: "500.00" })).reason, "digest_mismatch");
  });

  test("accepts fields in any order; an advisory text is in no digest (T12)", async () => {
    const { customer, currency, amount, order } = refund;
    assert.equal(
      (await verifier.check(token, { customer, currency, amount, order, type })).outcome,
      "checked",
    );
    assert.equal(
      (await rejected(token, { ...refund, note: "reworded by the model" })).reason,
      "digest_mismatch",
    );
  });

  test("rejects a number instead of the equal string, and the reverse (T13)", async () => {
    const order = { type: "order", symbol: "ACME", quantity: 10 };
    const approved = await stand.issue(order);
    assert.equal((await verifier.check(approved, order)).outcome, "checked");
    assert.deepEqual((await rejected(approved, { ...order, quantity: "10" })).differs, ["quantity"]);
  });

  test("rejects a call with an invalid value, and names the field", async () => {
    for (const amount of [undefined, 0.1, 2 ** 53, "\ud800", new Date(0)]) {
      const rejection = await rejected(token, { ...refund, amount });
      assert.equal(rejection.reason, "digest_mismatch");
      assert.match(rejection.body.error_description, /The call is not a valid action: .*\.amount/);
    }
  });

  test("rejects a call without an action, whatever the token", async () => {
    for (const nothing of [
      null,
      {},
      { type: "" },
      { type: 7 },
      "refund",
      () => undefined,
      async () => null,
    ]) {
      const rejection = await rejected(token, nothing);
      assert.equal(rejection.reason, "no_action");
      assert.equal(rejection.status, 403);
    }
    // @ts-expect-error the action is required
    const unstated = await verifier.check(token);
    assert(unstated.outcome === "rejected" && unstated.reason === "no_action");
    // @ts-expect-error an action requires a type
    await verifier.check(token, { order: "A-1001" });
    // @ts-expect-error undefined is not an action
    await verifier.check(token, async () => undefined);
  });

  test("builds the action only for a valid token, and rejects with the builder's error", async () => {
    const unparsable = new SyntaxError("the body is not JSON");
    const build = () => Promise.reject(unparsable);
    assert.equal((await rejected(undefined, build)).reason, "no_token");
    assert.equal((await rejected(`${token}x`, build)).reason, "invalid_token");
    await assert.rejects(verifier.check(token, build), unparsable);
    assert.equal((await verifier.check(token, async () => refund)).outcome, "checked");
  });

  test("rejects a call without a token with a challenge for both schemes, without an error code", async () => {
    for (const authorization of [undefined, null, "", "Basic dXNlcjpwdw==", `Token ${token}`]) {
      const rejection = await rejected(authorization);
      assert.equal(rejection.reason, "no_token");
      assert.equal(rejection.status, 401);
      assert.equal(rejection.headers["www-authenticate"], challenge);
    }
  });

  test("rejects a text that is not a JWT before a key is fetched", async () => {
    for (const odd of [
      "Bearer",
      "Bearer ",
      "Bearer a.b",
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${"a".repeat(16_384)}.b.c`,
      "x y z",
    ]) {
      const rejection = await rejected(odd);
      assert(["invalid_token", "no_token"].includes(rejection.reason), odd);
      assert.equal(rejection.status, 401);
    }
  });

  test("rejects a token longer than 16 KB before it is parsed", async () => {
    const long = { ...refund, order: "A".repeat(16_384) };
    assert.equal((await rejected(await stand.issue(long), long)).reason, "invalid_token");
  });

  test("rejects an expired token, within the clock tolerance (T11)", async () => {
    const strict = newVerifier({ clockToleranceSeconds: 0 });
    clock.at = start + 59_999;
    assert.equal((await strict.check(token, refund)).outcome, "checked");
    clock.at = start + 60_000;
    const rejection = await rejected(token, refund, strict);
    assert.equal(rejection.reason, "expired_token");
    assert.match(
      rejection.headers["www-authenticate"]!,
      /error="invalid_token", error_description="The token has expired"/,
    );
    clock.at = start + 64_999;
    assert.equal((await verifier.check(token, refund)).outcome, "checked");
    clock.at = start + 65_000;
    assert.equal((await rejected(token)).reason, "expired_token");
  });

  test("rejects another issuer, audience or token type, and missing or malformed claims", async () => {
    const claims: object[] = [
      { iss: "https://evil.example" },
      { iss: undefined },
      { aud: "https://other.example" },
      { aud: undefined },
      { exp: undefined },
      { exp: "soon" },
      { nbf: start / 1000 + 60 },
      { sub: undefined },
      { jti: 7 },
      { client_id: undefined },
      { act_digest: undefined },
      { act_type_hash: undefined },
      { approved_by: undefined },
      { approved_by: [] },
      { approved_by: [7] },
    ];
    for (const odd of claims) {
      const rejection = await rejected(await stand.issue(refund, odd as JsonObject));
      assert.equal(rejection.reason, "invalid_token", JSON.stringify(odd));
      assert.equal(rejection.body.error, "invalid_token");
    }
    for (const header of [{ typ: "JWT" }, { typ: undefined }, { kid: "unknown" }])
      assert.equal((await rejected(await stand.issue(refund, {}, header as object))).reason, "invalid_token");
  });

  test("rejects unsigned and forged tokens, and those with a public key as HMAC secret (T46)", async () => {
    const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString());
    const { privateKey } = await generateKeyPair("ES256");
    const header = { alg: "ES256", typ: "at+jwt", kid: "key-ES256-0" };
    const [head, body] = [{ ...header, alg: "HS256" }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString("base64url"),
    );
    const { keys } = (await (await fetch(`${stand.issuer}/jwks`)).json()) as { keys: object[] };
    const hmac = createHmac("sha256", JSON.stringify(keys[0])).update(`${head}.${body}`).digest("base64url");
    const forgeries = [
      await new SignJWT(claims).setProtectedHeader(header).sign(privateKey),
      await new SignJWT(claims)
        .setProtectedHeader({ ...header, jwk: await exportJWK((await generateKeyPair("ES256")).publicKey) })
        .sign(privateKey),
      new UnsecuredJWT(claims).encode(),
      `${new UnsecuredJWT(claims).encode()}AAAA`,
      `${head}.${body}.${hmac}`,
      `${token.slice(0, -4)}AAAA`,
    ];
    for (const forgery of forgeries) assert.equal((await rejected(forgery)).reason, "invalid_token");
  });

  test("accepts each asymmetric algorithm of the list, and no other", async (t) => {
    t.after(() => stand.rotate());
    for (const alg of ["RS256", "PS256", "EdDSA"]) {
      await stand.rotate(alg);
      assert.equal((await newVerifier().check(await stand.issue(refund), refund)).outcome, "checked");
    }
    await stand.rotate("ES384");
    assert.equal((await rejected(await stand.issue(refund), refund, newVerifier())).reason, "invalid_token");
  });

  test("rejects a type that was redefined, if the API pinned the former definition", async () => {
    assert.equal(
      (await newVerifier({ pinnedTypes: { refund: typeHash } }).check(token, refund)).outcome,
      "checked",
    );
    const pinned = newVerifier({ pinnedTypes: { refund: "u".repeat(43) } });
    const rejection = await rejected(token, refund, pinned);
    assert.equal(rejection.reason, "type_changed");
    assert.equal(rejection.status, 403);
    const other = { type: "constructor" };
    assert.equal((await pinned.check(await stand.issue(other), other)).outcome, "checked");
  });

  test("fetches keys once, and again for an unknown key id", async (t) => {
    t.after(() => stand.rotate());
    const fresh = newVerifier();
    const before = stand.keyRequests;
    await Promise.all([fresh.check(token, refund), fresh.check(token, refund), fresh.check(token, refund)]);
    await fresh.check(token, refund);
    assert.equal(stand.keyRequests, before + 1);
    assert.equal(stand.metadataReplies.length, 0);

    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 31_000 });
    await stand.rotate();
    assert.equal((await fresh.check(await stand.issue(refund), refund)).outcome, "checked");
    assert.equal(stand.keyRequests, before + 2);
  });

  test("returns 503 and reports a problem while keys cannot be fetched, and caches no failure", async () => {
    const fresh = newVerifier();
    stand.metadataReplies = [
      "hang up",
      { status: 503 },
      { status: 200, body: metadataOf("https://evil.example") },
    ];
    stand.metadataReplies.push(
      { status: 200, body: { issuer: stand.issuer } },
      { status: 200, body: "<html>" },
    );
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const rejection = await rejected(token, refund, fresh);
      assert.equal(rejection.reason, "unavailable");
      assert.equal(rejection.status, 503);
      assert.deepEqual(rejection.headers, { "cache-control": "no-store", "retry-after": "1" });
      assert.equal(problems.length, attempt);
    }
    stand.keyReplies = [{ status: 500 }, { status: 200, body: "<html>" }, { status: 200, body: { keys: 7 } }];
    for (let attempt = 1; attempt <= 3; attempt += 1)
      assert.equal((await rejected(token, refund, fresh)).reason, "unavailable");
    assert.deepEqual(new Set(problems.map(({ during }) => during)), new Set(["check"]));
    assert.equal((await fresh.check(token, refund)).outcome, "checked");
  });

  test("accepts http only on this machine, unless allowHttp is set", () => {
    assert.throws(() => newVerifier({ issuer: "http://countersign.example" }), /must be https/);
    assert.throws(() => newVerifier({ issuer: "countersign" }), /not a URL/);
    newVerifier({ issuer: "http://countersign.example", allowHttp: true });
  });

  test("writes headers and body of a rejection without injection", async () => {
    const odd = newVerifier({ audience: 'say "hi"\r\nset-cookie: a=b\\' });
    const rejection = await rejected(undefined, refund, odd);
    const response = new Response(JSON.stringify(rejection.body), rejection);
    const realm = 'realm="say ?hi???set-cookie: a=b?"';
    assert.equal(
      response.headers.get("www-authenticate"),
      `Bearer ${realm}, DPoP ${realm}, algs="${proofAlgorithms.join(" ")}"`,
    );
  });
});
