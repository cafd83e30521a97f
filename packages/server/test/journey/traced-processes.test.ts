/** Agent, server and API as three processes, each with an OpenTelemetry SDK of its own: one trace, through the wait for a person. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  createFaultHarness,
  type FaultHarness,
  type ServerNode,
} from "@countersign/testing/process/fault-harness";
import { killProcess } from "@countersign/testing/process/server-process";
import type { WrittenSpan } from "@countersign/testing/process/tracing";

const folder = mkdtempSync(join(tmpdir(), "countersign-traced-"));
const file = join(folder, "spans.jsonl");
const preload = fileURLToPath(import.meta.resolve("@countersign/testing/process/tracing"));
const party = fileURLToPath(import.meta.resolve("@countersign/testing/process/traced-process"));
const tracing = {
  COUNTERSIGN_SPANS: file,
  NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${preload}`,
};

const started: ChildProcess[] = [];
let harness: FaultHarness;
let node: ServerNode;
before(async () => {
  harness = await createFaultHarness(folder, { logging: undefined });
  node = await harness.start(tracing);
});
after(async () => {
  await Promise.all(started.map(killProcess));
  await harness.close();
});

/** Starts one of the others, and resolves with what it says about a word. */
function start(name: "agent" | "api", more: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [party], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      ...tracing,
      COUNTERSIGN_PARTY: name,
      ISSUER: harness.issuer,
      SERVER: node.url,
      ...more,
    },
  });
  started.push(child);
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  return (word: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = new RegExp(`^${word} (.*)$`, "m").exec(said)?.[1];
        if (found !== undefined) resolve(found);
      };
      look();
      child.stdout.on("data", look);
      child.once("close", (code) => reject(new Error(`${name} ended with ${code}: ${said}`)));
    });
}

const spans = (): WrittenSpan[] =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("tracing", () => {
  test("puts request, decision, redemption, call and spend of three processes into one trace", async () => {
    const api = await start("api", { CLIENT_ID: harness.api.id, CLIENT_SECRET: harness.api.secret })("port");
    const agent = start("agent", {
      CLIENT_ID: harness.agent.id,
      CLIENT_SECRET: harness.agent.secret,
      API: `http://127.0.0.1:${api}/refunds`,
    });
    const request = await agent("asked");
    assert.equal(await node.decide(request), 303);
    assert.match(await agent("answered"), /^200 refunded in a trace$/);

    const all = spans();
    const one = (process: string, name: string): WrittenSpan =>
      all.find((span) => span.process === process && span.name === name) ?? assert.fail(`${process} ${name}`);
    const root = one("server", "POST /bc-authorize").trace;
    const path: readonly (readonly [string, string])[] = [
      ["agent", "POST /bc-authorize"],
      ["server", "POST /bc-authorize"],
      ["server", "wait for a person"],
      ["agent", "POST /oauth/token"],
      ["server", "POST /oauth/token"],
      ["agent", "POST /refunds"],
      ["api", "POST /refunds"],
      ["api", "POST /spend"],
      ["server", "POST /spend"],
    ];
    for (const [process, name] of path) assert.equal(one(process, name).trace, root, `${process} ${name}`);
    assert.equal(one("server", "POST /bc-authorize").parent, one("agent", "POST /bc-authorize").id);
    assert.equal(one("api", "POST /refunds").parent, one("agent", "POST /refunds").id);
    assert.equal(one("server", "POST /spend").parent, one("api", "POST /spend").id);
    assert.equal(one("server", "wait for a person").attributes["countersign.end"], "approve");

    // Whoever redeems or spends in a trace of their own finds the ask by a link, and everybody by the request.
    const redeemed = all.filter(({ process, links }) => process === "server" && links.length > 0);
    assert.deepEqual(
      new Set(redeemed.map(({ name }) => name)),
      new Set(["POST /oauth/token", "POST /spend"]),
    );
    for (const { links, attributes } of redeemed) {
      assert.deepEqual(links, [one("server", "POST /bc-authorize").id]);
      assert.equal(attributes["countersign.request"], request);
    }

    // Lines of the log can be found from the trace. The person's browser is in none.
    await node.waitForStderr(/"event":"token.completed"/);
    const lines = node.readStderr().split("\n").filter(Boolean);
    const traced = (event: string) =>
      JSON.parse(lines.find((line) => line.includes(`"event":"${event}"`)) ?? "{}").trace_id;
    for (const event of ["request.created", "token.issued", "token.reserved"])
      assert.equal(traced(event), root, event);
    assert.notEqual(traced("request.approved"), root);
  });
});
