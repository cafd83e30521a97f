/**
 * Three server processes over one PostgreSQL, their machines' clocks half a minute apart. Nodes are killed while agents
 * ask, an approver decides, and an API spends, each wherever it happens to arrive. A seeded handful of kills normally,
 * two hundred with COUNTERSIGN_LONG=1, or COUNTERSIGN_KILLS.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cibaGrantType } from "@countersign/protocol";
import {
  type ClusterNode,
  createNodeHarness,
  type NodeHarness,
} from "@countersign/testing/process/node-harness";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { createRandom } from "@countersign/testing/process/server-process";
import {
  type Client,
  computeDigest,
  createWorkload,
  decideOnCard,
  sendForm,
  sleep,
  type WorkloadTarget,
} from "@countersign/testing/process/workload";
import { refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";

const long = Boolean(process.env.COUNTERSIGN_LONG);
const kills = long ? Number(process.env.COUNTERSIGN_KILLS ?? 200) : 5;
const contenders = long ? 10_000 : 200;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 6;
const skewsMs = [-15_000, 0, 15_000];
const skewedClock = fileURLToPath(import.meta.resolve("@countersign/testing/process/skewed-clock"));

const pick = createRandom(seed);
let database: PostgresServer;
let deployment: NodeHarness;
let workload: ReturnType<typeof createWorkload>;
let order = 0;

/** The same stage, where every request goes to one node. */
const at = (n: number): WorkloadTarget => ({ ...deployment.target, server: () => deployment.nodes[n]!.url });

async function asked(n: number): Promise<{ readonly authReqId: string; readonly action: typeof refund }> {
  order += 1;
  const action = { ...refund, order: `N-${order}` };
  const form = {
    scope: "openid",
    login_hint: "ada@example.com",
    authorization_details: JSON.stringify([action]),
  };
  const { text } = await sendForm(at(n), "/bc-authorize", form, toBasicAuth(deployment.target.agent));
  const authReqId: string = JSON.parse(text).auth_req_id;
  workload.excludedRequests.add(toRequestId(authReqId));
  return { authReqId, action };
}

const pollForm = (auth_req_id: string) => ({ grant_type: cibaGrantType, auth_req_id });

function poll(n: number, authReqId: string, more: Record<string, string> = {}): Promise<Response> {
  return fetch(`${deployment.nodes[n]!.url}/oauth/token`, {
    method: "POST",
    headers: { ...toBasicAuth(deployment.target.agent), ...more },
    body: new URLSearchParams(pollForm(authReqId)),
  });
}

let turnedAway = 0;

/** Sends until it is heard: of thousands at once a server cuts some connections off before it has read a word (408). */
async function insist(
  n: number,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string>,
): Promise<{ readonly status: number; readonly body: { readonly access_token?: string } }> {
  for (;;) {
    try {
      const init = { method: "POST", headers, body: new URLSearchParams(form) };
      const answer = await fetch(deployment.nodes[n]!.url + path, init);
      const text = await answer.text();
      if (answer.status !== 408) return { status: answer.status, body: JSON.parse(text) };
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    turnedAway += 1;
  }
}

const codeOf = async (answer: Response) => ((await answer.json()) as { error?: string }).error;

before(async () => {
  database = await startPostgres({ max_connections: "200" });
  deployment = await createNodeHarness({
    store: database.url,
    environments: skewsMs.map((skewMs) => ({
      NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${skewedClock}`,
      COUNTERSIGN_SKEW_MS: String(skewMs),
    })),
    chooseNode: () => Math.floor(pick() * skewsMs.length),
  });
  workload = createWorkload(deployment.target, pick);
});
after(async () => {
  await deployment?.close();
  await database?.discard();
});

describe("three nodes on PostgreSQL", () => {
  test("wake a waiting poll on one node at the decision on another", async (context) => {
    const took: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      const { authReqId } = await asked(n);
      const polling = poll(n, authReqId, { prefer: "wait=20" });
      const early = await Promise.race([polling, sleep(300)]);
      assert.equal(early, undefined, "it is held");
      let decidedAt = 0;
      const answered = polling.then((answer) => ({ answer, after: performance.now() - decidedAt }));
      await decideOnCard(at((n + 1) % 3), toRequestId(authReqId), "approve");
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

  test(`accept one of ${contenders} redemptions and one of ${contenders} spends (T18, T47)`, {
    timeout: 600_000,
  }, async (context) => {
    const { authReqId, action } = await asked(0);
    await decideOnCard(at(1), toRequestId(authReqId), "approve");
    const contend = (path: string, client: Client, form: (n: number) => Record<string, string>) =>
      Promise.all(
        Array.from({ length: contenders }, (_, n) => insist(n % 3, path, form(n), toBasicAuth(client))),
      );
    const began = performance.now();
    const answers = await contend("/oauth/token", deployment.target.agent, () => pollForm(authReqId));
    const tokens = answers.flatMap(({ body }) => body.access_token ?? []);
    assert.equal(tokens.length, 1);
    assert.equal(answers.filter(({ status }) => status === 400).length, contenders - 1);
    const redeemed = performance.now();
    const [token = ""] = tokens;
    const form = { operation: "reserve", token, act_digest: computeDigest(token, action) };
    const spends = await contend("/spend", deployment.target.api, (n) => ({
      ...form,
      spend_id: `spend-of-this-token-${String(n).padStart(6, "0")}`,
    }));
    assert.equal(spends.filter(({ status }) => status === 200).length, 1);
    assert.ok(spends.every(({ status }) => status < 500));
    const spent = performance.now();
    const entries = await deployment.readEntries();
    for (const wanted of ["request.approved", "token.issued", "token.reserved"]) {
      const there = entries.filter(
        ({ event, request }) => event === wanted && request === toRequestId(authReqId),
      );
      assert.equal(there.length, 1, wanted);
    }
    context.diagnostic(`${turnedAway} connections were cut off before they were read, and made again`);
    const seconds = (from: number, to: number) => ((to - from) / 1_000).toFixed(1);
    context.diagnostic(
      `redeemed within ${seconds(began, redeemed)} s, spent within ${seconds(redeemed, spent)} s`,
    );
  });

  test("expire requests by the clock of the database, not of the nodes", async () => {
    const { authReqId } = await asked(0);
    const before = Date.now();
    await decideOnCard(at(2), toRequestId(authReqId), "deny");
    const entries = await deployment.readEntries();
    const { at: decidedAt } = entries.find(
      ({ event, request }) => event === "request.denied" && request === toRequestId(authReqId),
    )!;
    // The database of this test has the clock of this test; the nodes' are fifteen seconds off.
    assert.ok(decidedAt > before - 5_000 && decidedAt < Date.now() + 1_000, `${decidedAt - before}`);
    for (const n of [0, 1, 2]) assert.equal(await codeOf(await poll(n, authReqId)), "access_denied");
  });

  test(`lose and duplicate nothing acknowledged if killed ${kills} times (seed ${seed})`, {
    timeout: kills * 60_000,
  }, async (context) => {
    let killed = 0;
    await workload.runDuring("kill", workers, async (isOver, answered) => {
      // Each node by itself, so that sometimes two are gone, or all; one start in five is cut short.
      const reap = async (node: ClusterNode) => {
        while (killed < kills && !isOver()) {
          await answered(1 + pick() * 80);
          await sleep(pick() * 30);
          killed += 1;
          await deployment.kill(node);
          for (; killed < kills && pick() < 0.2; killed += 1) {
            deployment.spawn(node);
            await sleep(200 + pick() * 1_000);
            await deployment.kill(node);
          }
          await deployment.start(node);
        }
      };
      await Promise.all(deployment.nodes.map(reap));
    });
    const { spent, text } = workload.checkEntries(await deployment.readEntries());
    context.diagnostic(text);
    assert.ok(spent > 0, "work was done between the kills");
  });
});
