/** Agents that the configuration declares: brought into the store at the start, and changed nowhere else. */
import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { deploy, sampleConfig, toBasicAuth } from "@countersign/testing/server/deployment";
import { type ConfigEdit, editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { runCommand } from "../../src/command/cli/run.ts";
import { formatProblem, loadConfig, parseConfig } from "../../src/config/config.ts";
import { pauseAgent } from "../../src/usecase/client/client-lifecycle.ts";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "countersign-declared-")));
after(() => rmSync(folder, { recursive: true }));

const secret = "0123456789abcdef0123456789abcdef";
const secretHash = hash("sha256", secret, "hex");
const jwk = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
writeFileSync(join(folder, "jwks.json"), JSON.stringify({ keys: [jwk] }));

const desk = { name: "Refund desk", types: ["refund", "calendar.clear"], secret_sha256: secretHash };
const keyed = {
  types: ["promote"],
  token_endpoint_auth_method: "private_key_jwt",
  token_endpoint_auth_signing_alg: "ES256",
  jwks: { keys: [{ ...jwk } as Record<string, string>] },
  backchannel_token_delivery_mode: "ping",
  backchannel_client_notification_endpoint: "https://agent.example/ping",
  dpop_bound_access_tokens: true,
};
const formatWithAgents = (agents: ConfigEdit) => formatConfig(editConfig(sampleConfig, { agents }));

function problems(agent: ConfigEdit): string[] {
  const read = parseConfig(formatWithAgents({ a: agent }), join(folder, "countersign.yaml"));
  return "problems" in read ? read.problems.map(formatProblem) : [];
}

async function agentsOf(deployment: Awaited<ReturnType<typeof deploy>>) {
  const agents = (await deployment.server.store.list("agent")).map(({ record }) => record);
  return agents.filter(({ source }) => source === "configuration");
}

async function entriesOf(deployment: Awaited<ReturnType<typeof deploy>>): Promise<string[]> {
  const newest = await deployment.server.store.log.newest(100);
  const entries = newest.map(({ line }) => JSON.parse(line)).reverse();
  return entries
    .filter(({ event, agent }) => event.startsWith("agent.") && agent !== "agent-1")
    .map(({ event, agent, actor, facts }) =>
      [event, agent, `${actor.type}/${actor.via}`, facts?.source ?? facts?.by ?? ""].join(" ").trim(),
    );
}

describe("declared agents", () => {
  test("exist from the first start, and authenticate with the declared credential", async (t) => {
    const deployment = await deploy({ config: { agents: { desk, keyed } } });
    t.after(() => deployment.close());
    const [one, two] = await agentsOf(deployment);
    assert.deepEqual([one?.name, one?.types], ["Refund desk", ["refund", "calendar.clear"]]);
    assert.deepEqual([two?.name, two?.binding, two?.delivery.mode], ["keyed", "dpop", "ping"]);
    await deployment.enrol("ada@example.com");
    const asked = await deployment.ask({}, toBasicAuth({ id: "desk", secret }));
    assert.equal(asked.status, 200);
  });

  test("are added, changed and removed with the file, and each change is logged", async (t) => {
    const deployment = await deploy({ config: { agents: { desk, keyed } } });
    t.after(() => deployment.close());
    await deployment.restart();
    await pauseAgent(deployment.server.store, "desk", true);
    await deployment.restart({ agents: { desk: { name: "Refunds" }, keyed: undefined } });
    const [only, ...others] = await agentsOf(deployment);
    assert.deepEqual([only?.id, only?.name, only?.paused, others], ["desk", "Refunds", true, []]);
    assert.deepEqual(await entriesOf(deployment), [
      "agent.added desk admin/config configuration",
      "agent.added keyed admin/config configuration",
      "agent.paused desk admin/cli",
      "agent.changed desk admin/config configuration",
      "agent.removed keyed admin/config",
    ]);
    await deployment.restart({ agents: undefined });
    assert.deepEqual(await agentsOf(deployment), []);
    // The agent that came in by command is nobody else's.
    assert.ok(await deployment.server.store.read("agent", "agent-1"));
  });

  test("lose keys that the file no longer contains; a changed secret replaces the old one", async (t) => {
    const deployment = await deploy({ config: { agents: { keyed } } });
    t.after(() => deployment.close());
    await deployment.restart({ agents: { keyed: { dpop_bound_access_tokens: undefined } } });
    assert.equal((await agentsOf(deployment))[0]?.binding, undefined);
    const other = hash("sha256", `${secret}2`, "hex");
    await deployment.restart({ agents: { desk, keyed: undefined } });
    await deployment.restart({ agents: { desk: { ...desk, secret_sha256: other }, keyed: undefined } });
    const poll = (given: string) =>
      deployment.post("/oauth/token", { grant_type: "x" }, toBasicAuth({ id: "desk", secret: given }));
    assert.equal((await poll(secret)).body.error, "invalid_client");
    assert.equal((await poll(`${secret}2`)).body.error, "unsupported_grant_type");
  });

  test("do not replace an agent with the same id that was added by command", async (t) => {
    const deployment = await deploy();
    t.after(() => deployment.close());
    await assert.rejects(
      deployment.restart({ agents: { desk, "agent-1": desk } }),
      /agents\.agent-1: an agent with this id was added by command/,
    );
    await deployment.restart();
    assert.deepEqual(await agentsOf(deployment), []);
  });

  test("may have their keys in a file beside the configuration", () => {
    const a = { types: ["refund"], token_endpoint_auth_method: "private_key_jwt", jwks_file: "jwks.json" };
    const read = parseConfig(formatWithAgents({ a }), join(folder, "countersign.yaml"));
    assert.ok("config" in read);
    assert.deepEqual(read.config.agents.get("a")?.keys, { from: "registration", jwks: [jwk] });
  });

  for (const [what, agent, said] of [
    ["no action types", { types: [] }, /agents\.a\.types: the agent has no action types/],
    ["a type that is not declared", { types: ["refnud"] }, /agents\.a\.types: "refnud" is not/],
    ["an unknown key", { types: ["refund"], jwk: "x" }, /agents\.a\.jwk: .*did you mean jwks\?/],
    [
      "no secret",
      { types: ["refund"] },
      /agents\.a: client_secret_basic needs the hash of a secret; .*hash-secret/,
    ],
    [
      "a plaintext secret",
      { types: ["refund"], secret_sha256: "hunter2" },
      /agents\.a\.secret_sha256: this is not the SHA-256/,
    ],
    [
      "an unused secret",
      {
        types: ["refund"],
        secret_sha256: secretHash,
        token_endpoint_auth_method: "private_key_jwt",
        jwks_file: "jwks.json",
      },
      /agents\.a\.secret_sha256: private_key_jwt has no secret/,
    ],
    [
      "a method that needs the secret",
      { types: ["refund"], secret_sha256: secretHash, token_endpoint_auth_method: "client_secret_jwt" },
      /agents\.a\.token_endpoint_auth_method: client_secret_jwt needs the secret itself/,
    ],
    [
      "a client certificate without mutual TLS",
      {
        types: ["refund"],
        token_endpoint_auth_method: "tls_client_auth",
        tls_client_auth_san_dns: "a.example",
      },
      /agents\.a\.token_endpoint_auth_method: tls_client_auth needs client certificates/,
    ],
    [
      "a missing key file",
      { types: ["refund"], token_endpoint_auth_method: "private_key_jwt", jwks_file: "nowhere.json" },
      /agents\.a\.jwks_file: the file does not exist/,
    ],
    [
      "a callback at a private address",
      {
        types: ["refund"],
        secret_sha256: secretHash,
        backchannel_token_delivery_mode: "ping",
        backchannel_client_notification_endpoint: "https://10.0.0.1/",
      },
      /countersign\.yaml:\d+:\d+: agents\.a\.backchannel_client_notification_endpoint: .*not public/,
    ],
    [
      "a name with a bidi override",
      { name: "A\u202e", types: ["refund"], secret_sha256: secretHash },
      /agents\.a\.name: /,
    ],
  ] as const)
    test(`reject ${what}, with its line`, () => {
      const found = problems(agent);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", said);
    });

  test("are previewed by check, and cannot be changed by commands", async () => {
    const config = join(folder, "countersign.yaml");
    const run = async (...words: string[]) => {
      let said = "";
      const print = (text: string) => {
        said += `${text}\n`;
      };
      const stop = new AbortController().signal;
      const code = await runCommand([...words, "--config", config], {
        stdout: print,
        stderr: print,
        signal: stop,
        isTTY: false,
      });
      return { code, said };
    };
    writeFileSync(config, formatConfig(sampleConfig));
    await run("init");
    writeFileSync(config, formatWithAgents({ desk }));
    assert.match((await run("check")).said, /agents: 1\n {2}desk +added at the next start/);
    assert.match(
      (await run("agent", "add", "desk", "--type", "refund")).said,
      /is declared in .*countersign\.yaml/,
    );

    const { createServer } = await import("../../src/server.ts");
    const { loadRootKey: loadOutsideKey } = await import("../../src/crypto/root-key.ts");
    const read = loadConfig(config);
    assert.ok("config" in read);
    const rootKey = loadOutsideKey(read.config.keyFile);
    await (await createServer({ config: read.config, rootKey, onFault: assert.ifError })).close();
    assert.match((await run("check")).said, /agents: 1\n$/);
    for (const words of [
      ["change", "desk", "--type", "promote"],
      ["secret", "desk"],
      ["remove", "desk"],
    ])
      assert.match((await run("agent", ...words)).said, /declared in .*\nChange it there, under agents/);
    assert.match((await run("agent", "pause", "desk")).said, /is paused/);
    assert.match((await run("agent", "list", "--json")).said, /"source":"configuration","state":"paused"/);
    await run("agent", "add", "keyed", "--type", "refund");
    writeFileSync(config, formatWithAgents({ desk, keyed }));
    const taken = await run("check");
    assert.deepEqual([taken.code, /agents\.keyed: .*added by command/.test(taken.said)], [1, true]);
  });
});
