/** What agents do most often costs least: a poll of a request that waits is one read, whatever the engine. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { deploy, toBasicAuth } from "@countersign/testing/server/deployment";
import type { Store } from "../../src/store/store.ts";

/** The same store, with the names of what is called on it. */
function capturedOutput(store: Store, calls: string[]): Store {
  const entries = Object.entries(store).map(([name, member]) => {
    if (typeof member !== "function" || name === "now") return [name, member];
    const heard = (...values: unknown[]) => {
      calls.push(name);
      return member(...values);
    };
    return [name, heard];
  });
  return Object.fromEntries(entries) as Store;
}

describe("POST /oauth/token", () => {
  test("reads the store once and writes nothing for a pending poll, also if it is too fast", async (t) => {
    const calls: string[] = [];
    const metrics = {
      observe: (store: Store) => capturedOutput(store, calls),
      onResponse: () => {},
      instrumentChannel: <C>(_: string, channel: C) => channel,
      onConnection: () => {},
      scrape: async () => ({ contentType: "", text: "" }),
    };
    const deployment = await deploy({ metrics });
    t.after(() => deployment.close());
    await deployment.enrol("ada@example.com");
    const { body } = await deployment.ask();
    const poll = async (changed = {}) => {
      calls.length = 0;
      const form = { grant_type: cibaGrantType, auth_req_id: body.auth_req_id, ...changed };
      return (await deployment.post("/oauth/token", form, toBasicAuth(deployment.agent))).body.error;
    };
    assert.equal(await poll(), "authorization_pending");
    assert.deepEqual(calls, ["readAgentAndStatus"]);
    assert.equal(await poll(), "slow_down");
    assert.deepEqual(calls, ["readAgentAndStatus"]);
    assert.equal(await poll({ auth_req_id: "nobody's" }), "invalid_grant");
    assert.deepEqual(calls, ["read"]);
    assert.deepEqual(deployment.faults, []);
  });
});
