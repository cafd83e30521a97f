import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { acknowledged, metadataOf, type StandIn, standIn, testClock, until } from "../test/stand-in.ts";
import {
  type Agent,
  type AgentOptions,
  type Ask,
  type CallbackOptions,
  CountersignError,
  createAgent,
  type ErrorCode,
} from "./agent.ts";

let stand: StandIn;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const newAsk = { action: { type: "refund", order: "A-1001" }, approver: "owner" } as const;
const newAgent = (options: AgentOptions = {}) =>
  createAgent(
    { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" },
    { clock: testClock(), ...options },
  );
const hasCode = (code: ErrorCode) => (error: unknown) => {
  assert(error instanceof CountersignError);
  assert.equal(error.code, code);
  return true;
};
const failing = (error: Error): typeof fetch => {
  return async (url, init) => (init?.method === "POST" ? Promise.reject(error) : fetch(url, init));
};

describe("errors of the agent", () => {
  test("rejects with ERR_INVALID_ARGUMENT for an invalid option or argument", async () => {
    assert.throws(() => newAgent({ longPollSeconds: 61 }), hasCode("ERR_INVALID_ARGUMENT"));
    assert.throws(() => createAgent({ issuer: "x", clientId: "c", clientSecret: "s" }), {
      name: "InvalidArgumentError",
    });
    for (const order of [0.5, "\ud800", undefined, new Date()])
      await assert.rejects(
        newAgent().ask({ ...newAsk, action: { type: "refund", order } as never }),
        hasCode("ERR_INVALID_ARGUMENT"),
      );
  });

  test("rejects with ERR_INVALID_ARGUMENT for a missing client id or a key that cannot sign", async () => {
    const { issuer } = stand;
    for (const clientId of [undefined, ""])
      assert.throws(
        () => createAgent({ issuer, clientId: clientId as string, clientSecret: "s3cret" }),
        hasCode("ERR_INVALID_ARGUMENT"),
      );
    const { privateKey, publicKey } = await crypto.subtle.generateKey(
      { name: "ECDSA", namedCurve: "P-256" },
      false,
      ["sign", "verify"],
    );
    const exchange = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
    const secret = { jwk: { kty: "oct", k: "AAAA", alg: "HS256" } };
    for (const dpop of [secret, exchange, {}, "key", { jwk: null }, { privateKey }, { publicKey }])
      assert.throws(() => newAgent({ dpop: dpop as never }), hasCode("ERR_INVALID_ARGUMENT"));
    for (const privateKey of [secret, { key: {} }, {}, { jwk: null }, { pem: "not a key" }])
      assert.throws(
        () => createAgent({ issuer, clientId: "refunder", privateKey: privateKey as never }),
        hasCode("ERR_INVALID_ARGUMENT"),
      );
  });

  test("rejects with ERR_METADATA for another issuer, or an endpoint that is not https", async () => {
    for (const body of [
      { issuer: "https://evil.example" },
      { token_endpoint: "http://evil.example/token" },
    ]) {
      stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), ...body } }];
      await assert.rejects(newAgent().ask(newAsk), hasCode("ERR_METADATA"));
    }
  });

  test("rejects with ERR_AUTHENTICATION for a private key that cannot be read", async () => {
    const privateKey = { pem: "not a key", algorithm: "ES256" } as const;
    const agent = createAgent({ issuer: stand.issuer, clientId: "refunder", privateKey });
    await assert.rejects(agent.ask(newAsk), hasCode("ERR_AUTHENTICATION"));
    const dpop = newAgent({ dpop: { jwk: { kty: "EC", crv: "P-256", x: "x", y: "y" } } });
    const asked = await newAgent().ask(newAsk);
    assert(asked.outcome === "asked");
    stand.metadata = [
      { status: 200, body: { ...metadataOf(stand.issuer), dpop_signing_alg_values_supported: ["ES256"] } },
    ];
    await assert.rejects(dpop.redeem(asked.ask), hasCode("ERR_AUTHENTICATION"));
  });

  test("rejects with ERR_AUTHENTICATION for a secret that cannot sign (client_secret_jwt)", async (t) => {
    const cause = new DOMException("no HMAC here", "OperationError");
    t.mock.method(crypto.subtle, "sign", () => Promise.reject(cause));
    const agent = newAgent({ clientAuthentication: "client_secret_jwt" });
    await assert.rejects(agent.ask(newAsk), (error: Error) => {
      assert.equal(error.cause, cause);
      return hasCode("ERR_AUTHENTICATION")(error);
    });
  });

  test("rejects with ERR_NETWORK for a lost connection, and keeps the cause", async () => {
    const lost = new TypeError("connection lost");
    const error = await newAgent({ fetch: failing(lost) })
      .ask(newAsk)
      .catch((failure) => failure);
    hasCode("ERR_NETWORK")(error);
    assert.equal(error.cause.code, "ERR_NETWORK");
    assert.equal(error.cause.cause, lost);
  });

  test("rejects with ERR_TIMEOUT for a request that exceeds its time limit", async () => {
    const fetch = failing(new DOMException("The operation timed out", "TimeoutError"));
    await assert.rejects(newAgent({ fetch }).ask(newAsk), hasCode("ERR_TIMEOUT"));
  });

  test("rejects with ERR_TIMEOUT for wait without a status one minute after the expiry", async () => {
    const asked = await newAgent().ask(newAsk);
    assert(asked.outcome === "asked");
    const agent = newAgent({ fetch: failing(new TypeError("connection lost")) });
    await assert.rejects(agent.wait(asked.ask), hasCode("ERR_TIMEOUT"));
  });

  test("rejects with ERR_RESPONSE for a response without auth_req_id or OAuth error", async () => {
    for (const answer of [{ status: 200, body: {} }, { status: 404 }]) {
      stand.ask = [answer];
      await assert.rejects(newAgent().ask(newAsk), hasCode("ERR_RESPONSE"));
    }
  });

  test("rejects with ERR_GRANT_MISMATCH for a granted field that was not requested", async () => {
    const asked = await newAgent().ask(newAsk);
    assert(asked.outcome === "asked");
    const authorization_details = [{ type: "refund", order: "A-1002" }];
    const token = { access_token: "t", token_type: "Bearer", expires_in: 60, scope: "openid" };
    stand.token = [{ status: 200, body: { ...token, authorization_details } }];
    await assert.rejects(newAgent().redeem(asked.ask), hasCode("ERR_GRANT_MISMATCH"));
  });

  test("rejects with ERR_ABORTED, with the signal's reason as cause", async () => {
    const reason = new Error("shutting down");
    const error = await newAgent()
      .ask(newAsk, { signal: AbortSignal.abort(reason) })
      .catch((failure) => failure);
    hasCode("ERR_ABORTED")(error);
    assert.equal(error.cause, reason);
    assert.equal(error.name, "AbortError");
  });
});

describe("errors passed to onProblem of the agent", () => {
  const key = "ticket-4711";
  let problems: CountersignError[];
  beforeEach(() => {
    problems = [];
    stand.seen.length = 0;
  });
  const newCalledAgent = (callback: Partial<CallbackOptions> = {}, options: AgentOptions = {}) =>
    newAgent({
      ...options,
      callback: {
        onProblem: (problem: CountersignError) => problems.push(problem),
        ...callback,
      } as CallbackOptions,
    });
  const askedOf = async (agent: Agent) => {
    const asked = await agent.ask({ ...newAsk, idempotencyKey: key });
    assert(asked.outcome === "asked");
    return asked.ask;
  };
  const call = (agent: Agent, body: object | string) =>
    agent.receive(
      new Request("https://agent.example/", {
        method: "POST",
        headers: {
          authorization: `Bearer ${stand.seen[0]?.form.get("client_notification_token")}`,
          "content-type": "application/json",
        },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    );
  const expectProblem = (code: ErrorCode, cause?: unknown) => {
    assert.equal(problems.length, 1);
    hasCode(code)(problems[0]);
    if (cause !== undefined) assert.equal(problems[0]?.cause, cause);
  };
  const push = {
    auth_req_id: "req-1",
    access_token: "t",
    token_type: "Bearer",
    expires_in: 60,
    scope: "openid",
  };

  test("reports ERR_RESPONSE for a callback that cannot be parsed", async () => {
    const agent = newCalledAgent();
    await askedOf(agent);
    assert.equal((await call(agent, "{}")).status, 400);
    expectProblem("ERR_RESPONSE");
  });

  test("reports ERR_RESPONSE for a push without a valid ID token", async () => {
    const agent = newCalledAgent({ mode: "push" });
    await askedOf(agent);
    assert.equal((await call(agent, push)).status, 400);
    expectProblem("ERR_RESPONSE");
  });

  test("reports ERR_METADATA for a push if the metadata has no jwks_uri", async () => {
    const agent = newCalledAgent({ mode: "push" });
    await askedOf(agent);
    stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
    const body = { ...push, id_token: `${btoa('{"alg":"RS256"}')}.${btoa("{}")}.AA` };
    assert.equal((await call(agent, body)).status, 503);
    expectProblem("ERR_METADATA");
  });

  test("reports ERR_NETWORK and ERR_TIMEOUT for a push whose keys cannot be fetched", async () => {
    for (const [error, code] of [
      [new TypeError("connection lost"), "ERR_NETWORK"],
      [new DOMException("The operation timed out", "TimeoutError"), "ERR_TIMEOUT"],
    ] as const) {
      problems = [];
      stand.seen.length = 0;
      const jwks_uri = `${stand.issuer}/jwks`;
      stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), jwks_uri } }];
      const lost: typeof fetch = async (url, init) =>
        `${url}` === jwks_uri ? Promise.reject(error) : fetch(url, init);
      const agent = newCalledAgent({ mode: "push" }, { fetch: lost });
      await askedOf(agent);
      const body = { ...push, id_token: `${btoa('{"alg":"RS256"}')}.${btoa("{}")}.AA` };
      assert.equal((await call(agent, body)).status, 503);
      expectProblem(code);
    }
  });

  test("reports ERR_HANDLER if onReady rejects, with its error as cause", async () => {
    const failure = new Error("the queue is full");
    const store = new Map<string, Ask>();
    const agent = newCalledAgent({ store, onReady: () => Promise.reject(failure) });
    store.set(key, await askedOf(agent));
    assert.equal((await call(agent, { auth_req_id: "req-1" })).status, 204);
    await until(() => problems.length > 0);
    expectProblem("ERR_HANDLER", failure);
  });

  test("ignores an error of onProblem itself", async () => {
    const agent = newCalledAgent({
      onProblem: () => {
        throw new Error("the logger is broken");
      },
    });
    await askedOf(agent);
    assert.equal((await call(agent, "{}")).status, 400);
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
