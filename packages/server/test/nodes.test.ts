/**
 * Three server processes over one PostgreSQL, their machines' clocks half a minute apart. Nodes are killed while agents ask, an approver decides, and an API spends, each wherever it happens to arrive. A seeded handful
 * of kills normally, two hundred with COUNTERSIGN_LONG=1.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { cibaGrantType, type Entry } from "@countersign/protocol";
import { basic, refund, requestIdOf, rules } from "./deployment.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { freePort } from "./secure-fetch.ts";
import { killProcess, random, startProcess } from "./server-process.ts";
import { createStories, decide, digestFor, enrolled, pause, type Stage, send } from "./story.ts";

const long = Boolean(process.env.COUNTERSIGN_LONG);
const kills = long ? 200 : 5;
const contenders = long ? 10_000 : 200;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 6;
const skewsMs = [-15_000, 0, 15_000];
const main = new URL("../src/main.ts", import.meta.url).pathname;
const skewedClock = new URL("skewed-clock.ts", import.meta.url).pathname;
const run = promisify(execFile);

type Node = { readonly url: string; readonly file: string; readonly skewMs: number; child?: ChildProcess };

const folder = mkdtempSync(join(tmpdir(), "countersign-nodes-"));
const pick = random(seed);
let database: PostgresServer;
let nodes: Node[] = [];
let stage: Stage;
let stories: ReturnType<typeof createStories>;
let order = 0;

const command = async (...words: string[]) =>
  (
    await run(process.execPath, [main, ...words, "--config", join(folder, "node-0.yaml")], {
      maxBuffer: 2 ** 30,
    })
  ).stdout;
const secretIn = (text: string) => /client_secret=(\S+)/.exec(text)?.[1] ?? "";

async function start(node: Node): Promise<void> {
  node.child = await startProcess(node.file, {
    NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${skewedClock}`,
    COUNTERSIGN_SKEW_MS: String(node.skewMs),
  });
}

const kill = ({ child }: Node) => killProcess(child);

const anyNode = () => nodes[Math.floor(pick() * nodes.length)]!.url;
/** The same stage, where every request goes to one node. */
const at = (n: number): Stage => ({ ...stage, server: () => nodes[n]!.url });

async function asked(n: number): Promise<{ readonly ticket: string; readonly action: typeof refund }> {
  order += 1;
  const action = { ...refund, order: `N-${order}` };
  const form = {
    scope: "openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify([action]),
  };
  const { text } = await send(at(n).server, "/bc-authorize", form, basic(stage.agent));
  const ticket: string = JSON.parse(text).auth_req_id;
  stories.others.add(requestIdOf(ticket));
  return { ticket, action };
}

function poll(n: number, ticket: string, more: Record<string, string> = {}): Promise<Response> {
  return fetch(`${nodes[n]!.url}/oauth/token`, {
    method: "POST",
    headers: { ...basic(stage.agent), ...more },
    body: new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: ticket }),
  });
}

const codeOf = async (answer: Response) => ((await answer.json()) as { error?: string }).error;

async function verified(): Promise<readonly Entry[]> {
  assert.match(await command("log", "verify"), /verifies/);
  const lines = (await command("log", "show", "--json", "--limit", "1000000")).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Entry);
}

before(async () => {
  database = await startPostgres({ max_connections: "200" });
  const ports = await Promise.all(skewsMs.map(freePort));
  const issuer = `http://localhost:${ports[0]}`;
  nodes = skewsMs.map((skewMs, n) => ({
    url: `http://localhost:${ports[n]}`,
    file: join(folder, `node-${n}.yaml`),
    skewMs,
  }));
  for (const [n, { file }] of nodes.entries())
    writeFileSync(
      file,
      rules
        .replaceAll("http://localhost:4400", issuer)
        .replace("port: 4400", `port: ${ports[n]}`)
        .replace(/^store: .*$/m, `store: ${database.url}\nlog: { checkpoint_file: ./checkpoints-${n} }`)
        .replace(
          "waiting_per_agent: 20, asks_per_hour: 10000",
          "waiting_per_agent: 1000, asks_per_hour: 100000, poll_interval: 1",
        ),
    );
  await command("init");
  const agent = { id: "agent-1", secret: "" };
  agent.secret = secretIn(await command("agent", "add", agent.id, "--type", "refund"));
  const api = { id: "refunds-api", secret: "" };
  api.secret = secretIn(await command("api", "add", api.id, "--api", "refunds"));
  const link = (await command("approver", "invite", "ada@example.com")).trim().split("\n").at(-1) ?? "";
  await Promise.all(nodes.map(start));
  stage = { issuer, server: anyNode, agent, api, cookie: await enrolled(new URL(link), issuer) };
  stories = createStories(stage, pick);
});
after(async () => {
  await Promise.all(nodes.map(kill));
  await database?.discard();
  rmSync(folder, { recursive: true });
});

test("a poll that is held by one node is answered at once by a decision on another", async (context) => {
  const took: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    const { ticket } = await asked(n);
    const polling = poll(n, ticket, { prefer: "wait=20" });
    const early = await Promise.race([polling, pause(300)]);
    assert.equal(early, undefined, "it is held");
    let decidedAt = 0;
    const answered = polling.then((answer) => ({ answer, after: performance.now() - decidedAt }));
    await decide(at((n + 1) % 3), requestIdOf(ticket), "approve");
    decidedAt = performance.now();
    const { answer, after: elapsed } = await answered;
    assert.equal(answer.status, 200);
    assert.ok(
      elapsed < 2_000,
      `${elapsed} ms: woken by the notification, not by the safety poll of five seconds`,
    );
    took.push(Math.round(elapsed));
  }
  context.diagnostic(`answered ${took.join(", ")} ms after the decision was acknowledged`);
});

test(`T18, T47: of ${contenders} redemptions and then ${contenders} spends of one approval, through all nodes, one wins`, async () => {
  const { ticket, action } = await asked(0);
  await decide(at(1), requestIdOf(ticket), "approve");
  const answers = await Promise.all(Array.from({ length: contenders }, (_, n) => poll(n % 3, ticket)));
  const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as { access_token?: string }[];
  const tokens = bodies.flatMap(({ access_token }) => access_token ?? []);
  assert.equal(tokens.length, 1);
  assert.equal(answers.filter(({ status }) => status === 400).length, contenders - 1);
  const [token = ""] = tokens;
  const form = { operation: "reserve", token, act_digest: digestFor(token, action) };
  const spends = await Promise.all(
    Array.from({ length: contenders }, async (_, n) => {
      const spend_id = `spend-of-this-token-${String(n).padStart(6, "0")}`;
      const answer = await fetch(`${nodes[n % 3]!.url}/spend`, {
        method: "POST",
        headers: basic(stage.api),
        body: new URLSearchParams({ ...form, spend_id }),
      });
      await answer.text();
      return answer.status;
    }),
  );
  assert.equal(spends.filter((status) => status === 200).length, 1);
  assert.ok(spends.every((status) => status < 500));
});

test("a request ends by the database's clock, whatever the nodes' machines say", async () => {
  const { ticket } = await asked(0);
  const before = Date.now();
  await decide(at(2), requestIdOf(ticket), "deny");
  const entries = await verified();
  const { at: decidedAt } = entries.find(
    ({ event, request }) => event === "request.denied" && request === requestIdOf(ticket),
  )!;
  // The database of this test has the clock of this test; the nodes' are fifteen seconds off.
  assert.ok(decidedAt > before - 5_000 && decidedAt < Date.now() + 1_000, `${decidedAt - before}`);
  for (const n of [0, 1, 2]) assert.equal(await codeOf(await poll(n, ticket)), "access_denied");
});

test(`nodes killed at ${kills} random moments (seed ${seed}) lose nothing acknowledged and double nothing`, {
  timeout: kills * 60_000,
}, async (context) => {
  let over = false;
  const working = Promise.all(
    Array.from({ length: workers }, (_, worker) => stories.work(`kill-${worker}`, () => over)),
  );
  working.catch(() => {});
  for (let round = 0; round < kills; round += 1) {
    await Promise.race([pause(100 + pick() * 900), working]);
    const node = nodes[Math.floor(pick() * nodes.length)]!;
    await kill(node);
    await start(node);
  }
  over = true;
  await working;
  const { spent, text } = stories.check(await verified());
  context.diagnostic(text);
  assert.ok(spent > 0, "work was done between the kills");
});
