import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { inspect } from "node:util";
import { acknowledged, metadataOf, type StandIn, standIn, testClock } from "../test/stand-in.ts";
import { type AgentOptions, createAgent } from "./agent.ts";

let stand: StandIn;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.seen.length = 0;
  stand.ask = [acknowledged()];
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
});

const newAsk = { action: { type: "refund" }, approver: "owner" } as const;
const clientSecret = "s3cret";
const newAgent = (options?: AgentOptions, issuer = stand.issuer) =>
  createAgent({ issuer, clientId: "refunder", clientSecret }, { clock: testClock(), ...options });

describe("connection", () => {
  test("fetches metadata once, and again only after a failure", async () => {
    stand.metadata = [
      { status: 503 },
      "hang up",
      { status: 200, body: metadataOf(stand.issuer) },
      { status: 200, body: "a second reading would fail here" },
    ];
    const agent = newAgent();
    assert.equal((await agent.ask(newAsk)).outcome, "asked");
    assert.equal((await agent.ask(newAsk)).outcome, "asked");
    assert.equal(stand.metadata.length, 1);
  });

  test("rejects metadata of another issuer", async () => {
    stand.metadata = [{ status: 200, body: { ...metadataOf(stand.issuer), issuer: "https://evil.example" } }];
    await assert.rejects(newAgent().ask(newAsk), /for another issuer, "https:\/\/evil\.example"/);
    stand.metadata = [{ status: 404 }];
    await assert.rejects(newAgent().ask(newAsk), /is this the issuer URL/);
    stand.metadata = [{ status: 200, body: { issuer: stand.issuer } }];
    await assert.rejects(newAgent().ask(newAsk), /has no backchannel_authentication_endpoint/);
    assert.equal(stand.seen.length, 0);
  });

  test("accepts a root issuer with and without a trailing slash", async () => {
    assert.equal((await newAgent({}, `${stand.issuer}/`).ask(newAsk)).outcome, "asked");
  });

  test("accepts http only on this machine, unless allowHttp is set", async () => {
    assert.throws(() => newAgent({}, "http://countersign.example"), /must be https/);
    assert.throws(() => newAgent({}, "http://127.0.0.1.evil.example"), /must be https/);
    assert.throws(() => newAgent({}, "countersign.example"), /not a URL/);
    for (const issuer of ["http://localhost:1", "http://[::1]:1", "https://countersign.example"])
      newAgent({}, issuer);
    newAgent({ allowHttp: true }, "http://countersign.example");

    stand.metadata = [
      { status: 200, body: { ...metadataOf(stand.issuer), token_endpoint: "http://evil.example/token" } },
    ];
    await assert.rejects(newAgent().ask(newAsk), /token_endpoint must be https/);
  });

  test("reveals no secret when an agent is printed or serialized", () => {
    const agent = newAgent();
    assert(!inspect(agent, { depth: 10, showHidden: true }).includes(clientSecret));
    assert(!JSON.stringify(agent).includes(clientSecret));
  });

  test("treats a request that exceeds its time limit as one without a response", async () => {
    const timesOut: typeof fetch = async (url, init) => {
      if (init?.method !== "POST") return fetch(url, init);
      assert(init.signal instanceof AbortSignal);
      throw new DOMException("The operation timed out", "TimeoutError");
    };
    await assert.rejects(
      newAgent({ fetch: timesOut }).ask(newAsk),
      /no response to the request in 4 attempts/,
    );
  });
});
