import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { audience, type StandIn, standIn, testClock } from "../test/stand-in.ts";
import {
  CountersignError,
  createVerifier,
  type ErrorCode,
  type Problem,
  type VerifierOptions,
} from "./verifier.ts";

let stand: StandIn;
let problems: Problem[];
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.replies = [];
  problems = [];
});

const refund = { type: "refund", order: "A-1001" };
const mustNotRun = (): never => assert.fail("it ran");
const newVerifier = (options: Partial<VerifierOptions> = {}) =>
  createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "payments-api",
    clientSecret: "s3cret",
    clock: testClock(),
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
const hasCode = (code: ErrorCode) => (error: unknown) => {
  assert(error instanceof CountersignError);
  assert.equal(error.code, code);
  return true;
};
const failing = (error: Error): typeof fetch => {
  return async (url, init) => (`${url}`.endsWith("/spend") ? Promise.reject(error) : fetch(url, init));
};

describe("errors of the verifier", () => {
  test("ERR_INVALID_ARGUMENT: an issuer that is not a URL, and a baseUrl with a query", () => {
    assert.throws(() => newVerifier({ issuer: "countersign" }), hasCode("ERR_INVALID_ARGUMENT"));
    assert.throws(() => newVerifier({ baseUrl: "https://a.example/?b" }), hasCode("ERR_INVALID_ARGUMENT"));
  });

  test("ERR_AUTHENTICATION: the spend endpoint rejects the API's credentials", async () => {
    stand.replies = [{ status: 401, body: { error: "invalid_client" } }];
    const spending = newVerifier().spend(await stand.issue(refund), refund, mustNotRun);
    await assert.rejects(spending, hasCode("ERR_AUTHENTICATION"));
  });

  test("ERR_RESPONSE: the spend endpoint returns an unexpected status", async () => {
    stand.replies = [{ status: 404, body: {} }];
    const reserving = newVerifier().reserve(await stand.issue(refund), refund);
    await assert.rejects(reserving, hasCode("ERR_RESPONSE"));
  });

  test("ERR_GRANT_MISMATCH: the spend endpoint reserves another token", async () => {
    stand.replies = [{ status: 200, body: { state: "reserved", jti: "another" } }];
    const reserving = newVerifier().reserve(await stand.issue(refund), refund);
    await assert.rejects(reserving, hasCode("ERR_GRANT_MISMATCH"));
  });

  test("ERR_NETWORK and ERR_TIMEOUT: reported to onProblem, and the call is rejected as unavailable", async () => {
    for (const [error, code] of [
      [new TypeError("connection lost"), "ERR_NETWORK"],
      [new DOMException("The operation timed out", "TimeoutError"), "ERR_TIMEOUT"],
    ] as const) {
      problems = [];
      const verifier = newVerifier({ fetch: failing(error) });
      const answer = await verifier.reserve(await stand.issue(refund), refund);
      assert(answer.outcome === "rejected");
      assert.equal(answer.reason, "unavailable");
      hasCode(code)(problems.at(-1)?.error);
      assert.equal(problems.at(-1)?.error.cause, error);
    }
  });

  test("ERR_METADATA: metadata of another issuer is reported to onProblem", async () => {
    const altering: typeof fetch = async (url, init) =>
      `${url}`.endsWith("/openid-configuration")
        ? Response.json({ issuer: "https://evil.example" })
        : fetch(url, init);
    const answer = await newVerifier({ fetch: altering }).check(await stand.issue(refund), refund);
    assert(answer.outcome === "rejected");
    assert.equal(answer.reason, "unavailable");
    hasCode("ERR_METADATA")(problems.at(-1)?.error);
  });
});
