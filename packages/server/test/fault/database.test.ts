/**
 * Two server processes over one PostgreSQL to which things are done while agents ask, an approver decides, and an API
 * spends: it ends at once and recovers, its connections are cut off, nothing can be written to it, it says nothing any
 * more. A seeded handful of each normally; with COUNTERSIGN_LONG=1 many.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { createNodeHarness, type NodeHarness } from "@countersign/testing/process/node-harness";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import { createRandom } from "@countersign/testing/process/server-process";
import { createWorkload, decideOnCard, sendForm, sleep } from "@countersign/testing/process/workload";
import { refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import postgres from "postgres";

const long = Boolean(process.env.COUNTERSIGN_LONG);
const crashes = long ? 40 : 2;
const cuts = long ? 200 : 10;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 6;

const pick = createRandom(seed);
let database: PostgresServer;
let deployment: NodeHarness;
let workload: ReturnType<typeof createWorkload>;

before(async () => {
  database = await startPostgres();
  deployment = await createNodeHarness({
    store: database.url,
    environments: [{}, {}],
    chooseNode: () => Math.floor(pick() * 2),
  });
  workload = createWorkload(deployment.target, pick);
});
after(async () => {
  await deployment?.close();
  await database?.discard();
});

/** One statement, as the database's own operator. */
async function tell(statement: string): Promise<void> {
  const operator = postgres(database.url, { max: 1, fetch_types: false, onnotice: () => {} });
  try {
    await operator.unsafe(statement);
  } finally {
    await operator.end({ timeout: 1 });
  }
}

const askForm = (order: string) => ({
  scope: "openid",
  login_hint: "ada@example.com",
  authorization_details: JSON.stringify([{ ...refund, order }]),
  requested_expiry: "600",
});

/** A request that nobody decides until the test does. */
async function asked(order: string): Promise<string> {
  const { text } = await sendForm(
    deployment.target,
    "/bc-authorize",
    askForm(order),
    toBasicAuth(deployment.target.agent),
  );
  const authReqId: string = JSON.parse(text).auth_req_id;
  workload.excludedRequests.add(toRequestId(authReqId));
  return authReqId;
}

/** Sent once, to one node, whatever it says. */
async function once(node: number, path: string, form?: Record<string, string>, more = {}) {
  const answer = await fetch(deployment.nodes[node]!.url + path, {
    ...(form && {
      method: "POST",
      headers: { ...toBasicAuth(deployment.target.agent), ...more },
      body: new URLSearchParams(form),
    }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  return { status: answer.status, retryAfter: Number(answer.headers.get("retry-after")), text };
}

const pollForm = (auth_req_id: string) => ({ grant_type: cibaGrantType, auth_req_id });

describe("unavailable PostgreSQL", () => {
  test(`returns 503 and loses nothing over ${crashes} crashes of PostgreSQL (seed ${seed}) (T21)`, {
    timeout: crashes * 60_000,
  }, async (context) => {
    const authReqId = await asked("during-a-crash");
    await workload.runDuring("crash", workers, async (isOver, answered) => {
      for (let round = 0; round < crashes && !isOver(); round += 1) {
        await answered(5 + pick() * 50);
        await database.stop(round % 2 ? "immediate" : "kill");
        for (const node of [0, 1]) {
          // After a crash what was under way may still be finished.
          while ((await once(node, "/readyz")).status === 200) await sleep(10);
          for (const [path, form] of [
            ["/bc-authorize", askForm("while-it-is-gone")],
            ["/oauth/token", pollForm(authReqId)],
          ] as const) {
            const { status, retryAfter, text } = await once(node, path, form);
            assert.equal(status, 503, text);
            assert.equal(JSON.parse(text).error, "temporarily_unavailable");
            assert.ok(retryAfter > 0);
          }
          assert.equal((await once(node, "/livez")).status, 200);
        }
        await sleep(pick() * 500);
        await database.start();
      }
    });
    const { spent, text } = workload.checkEntries(await deployment.readEntries());
    context.diagnostic(text);
    assert.ok(spent > 0);
  });

  test(`replaces connections that are cut ${cuts} times under load (seed ${seed}) (T21)`, {
    timeout: cuts * 20_000,
  }, async (context) => {
    const statement =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'";
    await workload.runDuring("cut", workers, async (isOver, answered) => {
      for (let round = 0; round < cuts && !isOver(); round += 1) {
        await answered(1 + pick() * 8);
        await sleep(pick() * 30);
        await tell(statement);
      }
    });
    // Those on which the nodes hear of each other are back as well: a poll that is held is let go by the other node.
    const authReqId = await asked("after-the-cuts");
    const held = once(0, "/oauth/token", pollForm(authReqId), { prefer: "wait=25" });
    await sleep(300);
    const other = { ...deployment.target, server: () => deployment.nodes[1]!.url };
    await decideOnCard(other, toRequestId(authReqId), "approve");
    const decidedAt = performance.now();
    assert.equal((await held).status, 200);
    assert.ok(performance.now() - decidedAt < 3_000, "woken, and not by the safety poll of five seconds");
    context.diagnostic(workload.checkEntries(await deployment.readEntries()).text);
  });

  test("returns 503 for writes while PostgreSQL is read-only, answers polls, and recovers (T21)", async (context) => {
    const authReqId = await asked("while-it-is-read-only");
    const setTo = async (value: "on" | "off") => {
      await tell(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await tell("SELECT pg_reload_conf()");
    };
    await workload.runDuring("read-only", workers, async (isOver, answered) => {
      for (let round = 0; round < (long ? 10 : 1) && !isOver(); round += 1) {
        await answered(5 + pick() * 20);
        await setTo("on");
        try {
          // Each session learns of it by itself, after the statement that it is at.
          await sleep(500);
          for (const node of [0, 1]) {
            const refused = await once(node, "/bc-authorize", askForm("refused-meanwhile"));
            assert.equal(refused.status, 503, refused.text);
            assert.ok(refused.retryAfter > 0);
            const poll = await once(node, "/oauth/token", pollForm(authReqId));
            assert.match(poll.text, /authorization_pending|slow_down/);
          }
        } finally {
          await setTo("off");
        }
      }
    });
    context.diagnostic(workload.checkEntries(await deployment.readEntries()).text);
  });

  test("returns 503 in time while PostgreSQL does not respond, and recovers (T21)", {
    skip: !long && "takes a minute",
    timeout: 300_000,
  }, async (context) => {
    const authReqId = await asked("silence");
    await workload.runDuring("silence", workers, async (isOver, answered) => {
      for (let round = 0; round < 3 && !isOver(); round += 1) {
        await answered(10);
        database.freeze();
        try {
          const startedAt = performance.now();
          const answers = await Promise.all(
            Array.from({ length: 300 }, (_, n) =>
              n % 2
                ? once(n % 4 > 1 ? 1 : 0, "/oauth/token", pollForm(authReqId))
                : once(n % 4 > 1 ? 1 : 0, "/bc-authorize", askForm(`silence-${round}-${n}`)),
            ),
          );
          const tookMs = Math.round(performance.now() - startedAt);
          context.diagnostic(`300 answers after ${tookMs} ms`);
          assert.deepEqual([...new Set(answers.map(({ status }) => status))], [503]);
          assert.ok(tookMs < 30_000);
        } finally {
          database.thaw();
        }
      }
    });
    context.diagnostic(workload.checkEntries(await deployment.readEntries()).text);
  });

  test("reports no faults but those of the database", () => {
    const faults = deployment.readFaults();
    assert.ok(faults.length > 0);
    const others = faults.filter(({ fault }) => fault.type !== "StoreError");
    assert.deepEqual(others, []);
  });
});
