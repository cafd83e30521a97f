/** What agents do most often costs least: a poll of a request that waits is one read, whatever the engine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import type { Store } from "../src/store/store.ts";
import { basic, deploy } from "./deployment.ts";

/** The same store, with the names of what is called on it. */
function overheard(store: Store, calls: string[]): Store {
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

test("a pending poll is one read of the store and no write, and so is one that is too fast", async () => {
  const calls: string[] = [];
  const metrics = {
    observe: (store: Store) => overheard(store, calls),
    answered: () => {},
    attempted: <C>(channel: C) => channel,
    connection: () => {},
    scrape: async () => ({ contentType: "", text: "" }),
  };
  const place = await deploy(undefined, { metrics });
  await place.enrol("ada@example.com");
  const { body } = await place.ask();
  const poll = async (changed = {}) => {
    calls.length = 0;
    const form = { grant_type: cibaGrantType, auth_req_id: body.auth_req_id, ...changed };
    return (await place.post("/oauth/token", form, basic(place.agent))).body.error;
  };
  assert.equal(await poll(), "authorization_pending");
  assert.deepEqual(calls, ["polling"]);
  assert.equal(await poll(), "slow_down");
  assert.deepEqual(calls, ["polling"]);
  assert.equal(await poll({ auth_req_id: "nobody's" }), "invalid_grant");
  assert.deepEqual(calls, ["read"]);
  assert.deepEqual(place.faults, []);
  await place.close();
});
