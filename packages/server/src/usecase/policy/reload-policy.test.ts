import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Entry } from "@countersign/protocol";
import { type ConfigProblems, type LoadedConfig, parseConfig } from "../../config/config.ts";
import type { Policy } from "../../config/sections.ts";
import { openSqlite } from "../../store/sqlite/sqlite.ts";
import type { Store } from "../../store/store.ts";
import { addAgent } from "../client/client-lifecycle.ts";
import { createPolicyReloader } from "./reload-policy.ts";

const hash = "0".repeat(64);

/** A configuration with one action, and these groups, limits and agents. */
function write({
  finance = "[ada@example.com]",
  limit = 5,
  port = 4400,
  sentence = "Export it",
  agents = "{}",
}) {
  return `issuer: http://localhost:4400
listen: { port: ${port} }
passkeys: { rp_id: localhost }
groups: { finance: ${finance} }
apis: { exports: { audience: https://exports.example } }
limits: { max_pending_per_agent: ${limit} }
scopes:
  export: { api: exports, sentence: "${sentence}", approvers: { groups: [finance] } }
agents: ${agents}
`;
}

function load(text: string): LoadedConfig | ConfigProblems {
  return parseConfig(text, "/etc/countersign/countersign.yaml");
}

function loadValid(text: string): LoadedConfig {
  const loaded = load(text);
  assert.ok("config" in loaded, JSON.stringify(loaded));
  return loaded;
}

describe("createPolicyReloader", () => {
  let folder: string;
  let store: Store;
  let text: string;
  let current: Policy;
  let failure: Error | undefined;
  let reload: ReturnType<typeof createPolicyReloader>;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "countersign-reload-"));
  });
  beforeEach(() => {
    store = openSqlite({ path: join(folder, `${process.hrtime.bigint()}.db`) });
    text = write({});
    const initial = loadValid(text);
    current = initial.config;
    failure = undefined;
    reload = createPolicyReloader(
      {
        store,
        load: () => load(text),
        prepare: async (next) => {
          if (failure) throw failure;
          return () => {
            current = next;
          };
        },
      },
      initial.values,
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  const entries = async () =>
    (await store.log.newest(100))
      .map(({ line }) => JSON.parse(line) as Entry)
      .filter(({ event }) => event === "policy.reloaded")
      .reverse();

  test("replaces the policy and logs what changed by hash", async () => {
    const before = current;
    text = write({ finance: "[ada@example.com, bob@example.com]", sentence: "Export everything" });
    assert.deepEqual(await reload(), {
      reloaded: true,
      changed: ["groups.finance", "scopes.export"],
      needsRestart: [],
    });
    assert.notEqual(current, before);
    assert.deepEqual(current.groups.get("finance"), ["ada@example.com", "bob@example.com"]);
    const [entry, ...others] = await entries();
    assert.deepEqual(others, []);
    assert.deepEqual(entry?.actor, { type: "admin", via: "config" });
    const facts = entry?.facts as {
      from: string;
      to: string;
      changes: readonly { member: string; from: string; to: string }[];
    };
    assert.match(facts.from, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual(facts.from, facts.to);
    assert.deepEqual(
      facts.changes.map(({ member }) => member),
      ["groups.finance", "scopes.export"],
    );
    assert.doesNotMatch(JSON.stringify(facts), /bob|Export/);
    const published = current.actions.get("export")!.hash;
    assert.ok(await store.read("action_type", published));
  });

  test("chains the hashes of entries; the same policy has the same hash", async () => {
    const first = text;
    for (const next of [write({ limit: 6 }), first]) {
      text = next;
      assert.ok((await reload()).reloaded);
    }
    const [there, back] = (await entries()).map(({ facts }) => facts);
    assert.equal(there?.to, back?.from);
    assert.equal(there?.from, back?.to);
  });

  test("keeps the policy if the file has a problem", async () => {
    const before = current;
    text = write({ finance: "[]" });
    const result = await reload();
    assert.ok(!result.reloaded);
    assert.match(result.problems.join(), /countersign\.yaml:4:11: groups\.finance: the group is empty/);
    assert.equal(current, before);
    assert.deepEqual(await entries(), []);
  });

  test("keeps the policy, and changes no agent, if an agent's id is taken", async () => {
    const added = await addAgent(store, {
      id: "taken",
      name: "Taken",
      types: ["export"],
      credential: { method: "client_secret_basic" },
    });
    assert.ok(!("refused" in added));
    const before = current;
    const agent = `{ types: [export], secret_sha256: "${hash}" }`;
    text = write({ agents: `{ other: ${agent}, taken: ${agent} }` });
    const result = await reload();
    assert.ok(!result.reloaded);
    assert.match(result.problems.join(), /taken/);
    assert.equal(current, before);
    assert.equal(await store.read("agent", "other"), undefined);
  });

  test("keeps the policy if what depends on it cannot be opened", async () => {
    const before = current;
    failure = new Error("the token file does not exist");
    text = write({ limit: 6, sentence: "Export more" });
    assert.deepEqual(await reload(), { reloaded: false, problems: ["the token file does not exist"] });
    assert.equal(current, before);
    assert.deepEqual(await entries(), []);
    failure = undefined;
    assert.ok((await reload()).reloaded);
    assert.equal(current.limits.maxPendingPerAgent, 6);
  });

  test("reconciles declared agents", async () => {
    text = write({ agents: `{ a: { types: [export], secret_sha256: "${hash}" } }` });
    assert.deepEqual(await reload(), { reloaded: true, changed: ["agents.a"], needsRestart: [] });
    assert.equal((await store.read("agent", "a"))?.record.source, "configuration");
    text = write({});
    await reload();
    assert.equal(await store.read("agent", "a"), undefined);
  });

  test("reports changed fixed settings at every reload, and applies the policy", async () => {
    text = write({ port: 4401, limit: 7 });
    const first = await reload();
    assert.deepEqual(first, {
      reloaded: true,
      changed: ["limits.max_pending_per_agent"],
      needsRestart: ["listen"],
    });
    assert.deepEqual(await reload(), { reloaded: true, changed: [], needsRestart: ["listen"] });
    assert.equal((await entries()).length, 1);
  });

  test("runs concurrent reloads one after another", async () => {
    text = write({ limit: 8 });
    const results = await Promise.all([reload(), reload(), reload()]);
    assert.deepEqual(
      results.map((result) => result.reloaded && result.changed),
      [["limits.max_pending_per_agent"], [], []],
    );
    assert.equal((await entries()).length, 1);
  });
});
