import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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
  test("throws ERR_INVALID_ARGUMENT for an issuer that is not a URL, and a baseUrl with a query", () => {
    assert.throws(() => newVerifier({ issuer: "countersign" }), hasCode("ERR_INVALID_ARGUMENT"));
    assert.throws(() => newVerifier({ baseUrl: "https://a.example/?b" }), hasCode("ERR_INVALID_ARGUMENT"));
  });

  test("throws ERR_INVALID_ARGUMENT for a missing audience, client id or client secret", () => {
    for (const name of ["audience", "clientId", "clientSecret"])
      for (const value of [undefined, ""])
        assert.throws(() => newVerifier({ [name]: value }), {
          code: "ERR_INVALID_ARGUMENT",
          message: `${name} is missing`,
        });
  });

  test("rejects with ERR_AUTHENTICATION if the spend endpoint rejects the API's credentials", async () => {
    stand.replies = [{ status: 401, body: { error: "invalid_client" } }];
    const spending = newVerifier().spend(await stand.issue(refund), refund, mustNotRun);
    await assert.rejects(spending, hasCode("ERR_AUTHENTICATION"));
  });

  test("rejects with ERR_RESPONSE for an unexpected status of the spend endpoint", async () => {
    stand.replies = [{ status: 404, body: {} }];
    const reserving = newVerifier().reserve(await stand.issue(refund), refund);
    await assert.rejects(reserving, hasCode("ERR_RESPONSE"));
  });

  test("rejects with ERR_GRANT_MISMATCH if the spend endpoint reserves another token", async () => {
    stand.replies = [{ status: 200, body: { state: "reserved", jti: "another" } }];
    const reserving = newVerifier().reserve(await stand.issue(refund), refund);
    await assert.rejects(reserving, hasCode("ERR_GRANT_MISMATCH"));
  });

  test("reports ERR_NETWORK and ERR_TIMEOUT to onProblem, and rejects the call as unavailable", async () => {
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

  test("reports ERR_NETWORK and ERR_TIMEOUT for metadata and keys that cannot be fetched", async () => {
    const answers = [
      ["ERR_NETWORK", () => Promise.reject(new TypeError("connection lost"))],
      ["ERR_TIMEOUT", () => Promise.reject(new DOMException("The operation timed out", "TimeoutError"))],
      ["ERR_NETWORK", async () => Response.json({}, { status: 502 })],
      ["ERR_NETWORK", async () => Response.json({}, { status: 429 })],
    ] as const;
    for (const path of ["/.well-known/openid-configuration", "/jwks"])
      for (const [code, answer] of answers) {
        problems = [];
        const lost: typeof fetch = async (url, init) =>
          `${url}`.endsWith(path) ? answer() : fetch(url, init);
        const checked = await newVerifier({ fetch: lost }).check(await stand.issue(refund), refund);
        assert(checked.outcome === "rejected");
        assert.equal(checked.reason, "unavailable");
        assert.equal(problems.length, 1);
        hasCode(code)(problems[0]?.error);
      }
  });

  test("reports ERR_METADATA for metadata and key sets that are not JSON of the expected form", async () => {
    for (const [path, body] of [
      ["/.well-known/openid-configuration", "<html>"],
      ["/.well-known/openid-configuration", "null"],
      ["/.well-known/openid-configuration", '{"issuer":7}'],
      ["/.well-known/openid-configuration", '{"issuer":"not a URL"}'],
      ["/jwks", "[]"],
      ["/jwks", "<html>"],
    ] as const) {
      problems = [];
      const odd: typeof fetch = async (url, init) =>
        `${url}`.endsWith(path) ? new Response(body) : fetch(url, init);
      const checked = await newVerifier({ fetch: odd }).check(await stand.issue(refund), refund);
      assert(checked.outcome === "rejected");
      assert.equal(checked.reason, "unavailable");
      hasCode("ERR_METADATA")(problems.at(-1)?.error);
    }
  });

  test("reports ERR_RESPONSE for a spend response that is not JSON", async () => {
    stand.replies = Array(3).fill({ status: 200, body: "<html>" });
    const reservation = await newVerifier().reserve(await stand.issue(refund), refund);
    assert(reservation.outcome === "rejected");
    assert.equal(reservation.reason, "unavailable");
    hasCode("ERR_RESPONSE")(problems.at(-1)?.error);
  });

  test("reports ERR_METADATA for metadata of another issuer", async () => {
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

describe("README", () => {
  test("lists in the README the codes that are tested here", () => {
    const codesIn = (text: string) => [...new Set(text.match(/ERR_[A-Z_]+/g))].sort();
    const [, table = ""] =
      /\n\| code [^\n]*\n([\s\S]*?)\n\n/.exec(
        readFileSync(new URL("../README.md", import.meta.url), "utf8"),
      ) ?? [];
    const titles = readFileSync(import.meta.filename, "utf8").match(/^ {2}test\(".*ERR_.*$/gm) ?? [];
    assert.deepEqual(codesIn(table), codesIn(titles.join()));
  });
});
