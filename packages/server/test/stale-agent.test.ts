/** An agent that was paused or removed between its proof of who it is and its ask. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../src/config/config.ts";
import { createSeal } from "../src/keys/seal.ts";
import { ask } from "../src/operations/ask.ts";
import { deploy, refund, rules } from "./deployment.ts";

test("T29: an agent that was paused meanwhile asks for nothing, also not for what waits already", async () => {
  const place = await deploy();
  await place.enrol("ada@example.com");
  const { store } = place.server;
  const read = parseConfig(rules, "/countersign.yaml");
  assert.ok("config" in read);
  const ground = { store, config: read.config, callbackSeal: createSeal(place.outsideKey, "callbacks") };
  const authenticated = await store.read("agent", place.agent.id);
  assert.ok(authenticated);
  const wish = (order: string) => ({
    details: JSON.stringify([{ ...refund, order }]),
    scopes: ["openid"],
    hint: { by: "email", email: "ada@example.com" } as const,
  });
  const first = await ask(ground, authenticated, { ...wish("A-1"), idempotencyKey: "key-1" });
  assert.ok("approval" in first);
  assert.deepEqual(await ask(ground, authenticated, wish("A-1")), { ...first, joined: true });

  const { record, version } = authenticated;
  const { newEntry } = await import("../src/operations/entry.ts");
  await store.commit({
    writes: [{ put: "agent", record: { ...record, paused: true }, expect: version }],
    entries: [newEntry("agent.paused", store.now(), { agent: record.id })],
  });
  for (const input of [wish("A-1"), wish("A-2"), { ...wish("A-1"), idempotencyKey: "key-1" }]) {
    const answer = await ask(ground, authenticated, input);
    assert.equal("refused" in answer && answer.refused, "access_denied");
  }
  assert.deepEqual(place.faults, []);
  await place.close();
});
