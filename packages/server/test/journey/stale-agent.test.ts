/** An agent that was paused or removed between its proof of who it is and its ask. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deploy, refund } from "@countersign/testing/server/deployment";
import { formatConfig } from "@countersign/testing/server/edit-config";
import { parseConfig } from "../../src/config/config.ts";
import { createSeal } from "../../src/crypto/seal.ts";
import { ask } from "../../src/usecase/request/ask.ts";

describe("POST /bc-authorize", () => {
  test("rejects an agent that was paused after it was read, also for a pending request (T29)", async (t) => {
    const deployment = await deploy();
    t.after(() => deployment.close());
    await deployment.enrol("ada@example.com");
    const { store } = deployment.server;
    const read = parseConfig(formatConfig(deployment.config), "/countersign.yaml");
    assert.ok("config" in read);
    const deps = {
      store,
      policy: { current: () => read.config },
      settings: read.config,
      directory: deployment.server.directory,
      callbackSeal: createSeal(deployment.rootKey, "callbacks"),
    };
    const authenticated = await store.read("agent", deployment.agent.id);
    assert.ok(authenticated);
    const wish = (order: string) => ({
      details: JSON.stringify([{ ...refund, order }]),
      scopes: ["openid"],
      hint: { by: "email", email: "ada@example.com" } as const,
    });
    const first = await ask(deps, authenticated, { ...wish("A-1"), idempotencyKey: "key-1" });
    assert.ok("requestId" in first);
    assert.deepEqual(await ask(deps, authenticated, wish("A-1")), { ...first, joined: true });

    const { record, version } = authenticated;
    const { operator } = await import("../../src/audit/actor.ts");
    const { newEntry } = await import("../../src/audit/new-entry.ts");
    await store.commit({
      writes: [{ put: "agent", record: { ...record, paused: true }, ifVersion: version }],
      entries: [newEntry("agent.paused", store.now(), { actor: operator, agent: record.id })],
    });
    for (const input of [wish("A-1"), wish("A-2"), { ...wish("A-1"), idempotencyKey: "key-1" }]) {
      const answer = await ask(deps, authenticated, input);
      assert.equal("refused" in answer && answer.refused, "access_denied");
    }
    assert.deepEqual(deployment.faults, []);
  });
});
