/**
 * The server process is killed with SIGKILL at random moments while its answers are on their way to an agent that is
 * pinged and one that is pushed to. Afterwards, what these were told is held against what was decided. A seeded handful of
 * kills normally, more with COUNTERSIGN_LONG=1.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRandom, killProcess, startProcess } from "@countersign/testing/process/server-process";
import { decideOnCard, sendForm, sleep } from "@countersign/testing/process/workload";
import {
  type CallbackAgent,
  type CallbackHarness,
  createCallbackHarness,
  createNotificationToken,
} from "@countersign/testing/server/callback-harness";
import { issuer, type Person, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import { leaseMs } from "../../src/domain/callback/callback.ts";

const kills = process.env.COUNTERSIGN_LONG ? 100 : 3;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 4;

let harness: CallbackHarness;
let ada: Person;
let agents: readonly CallbackAgent[];
let file: string;
let url: string;
let child: ChildProcess | undefined;
let over = false;

const start = () =>
  startProcess(file, { COUNTERSIGN_KEY: Buffer.from(harness.deployment.rootKey).toString("base64url") });

type DecidedRequest = {
  readonly agent: CallbackAgent;
  readonly authReqId: string;
  readonly verdict: "approve" | "deny";
};
const decided: DecidedRequest[] = [];

const stopped = new AbortController();
/** The server, as the workload functions expect it. */
const target = () => ({ issuer, server: () => url, cookie: ada.cookie, stopped: stopped.signal });

/** Asks and decides, one request after another, and records what was acknowledged. */
async function work(worker: number, pick: () => number): Promise<void> {
  for (let turn = 0; !over; turn += 1) {
    const agent = agents[turn % agents.length]!;
    const form = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([{ type: "rollout", service: `${worker}-${turn}` }]),
      client_notification_token: createNotificationToken(),
      requested_expiry: "600",
    };
    const headers = { ...toBasicAuth(agent), "idempotency-key": `${worker}-${turn}` };
    const asked = await sendForm(target(), "/bc-authorize", form, headers);
    const authReqId: string = JSON.parse(asked.text).auth_req_id;
    assert.ok(authReqId, asked.text);
    const verdict = pick() < 0.7 ? "approve" : "deny";
    assert.ok(await decideOnCard(target(), toRequestId(authReqId), verdict));
    decided.push({ agent, authReqId, verdict });
  }
}

before(async () => {
  harness = await createCallbackHarness();
  harness.deployment.clock.now = Date.now();
  // The process uses the machine's clock: a session of the harness's own date would have expired.
  ada = await harness.deployment.enrol("ada@example.com");
  agents = [
    await harness.registerAgent("pinged", "ping", "/ping"),
    await harness.registerAgent("pushed", "push", "/push"),
  ];
  const port = await findFreePort();
  url = `http://127.0.0.1:${port}`;
  file = join(dirname(harness.deployment.file), "countersign.yaml");
  const limits = { max_pending_per_agent: 1000, max_requests_per_hour: 100_000 };
  writeFileSync(file, formatConfig(editConfig(harness.deployment.config, { listen: { port }, limits })));
  await harness.deployment.server.close();
});
after(async () => {
  over = true;
  stopped.abort();
  await killProcess(child);
  // Also after a failure: an open listener would keep this file from ending.
  await harness.receiver.close();
});

describe("callback worker", () => {
  test(`delivers every decision, and one token each, if killed ${kills} times (seed ${seed})`, {
    timeout: 60_000 + kills * 10_000,
  }, async (context) => {
    const pick = createRandom(seed);
    // Slow enough to be killed while it is answering.
    harness.receiver.respond = (response) =>
      void setTimeout(() => response.writeHead(204).end(), pick() * 60);
    child = await start();
    const working = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker, pick)));
    working.catch(() => {});
    for (let round = 0; round < kills; round += 1) {
      await Promise.race([sleep(300 + pick() * 900), working]);
      await killProcess(child);
      child = await start();
    }
    over = true;
    await working;
    await killProcess(child);

    // Whatever was under way is told when its lease has run out.
    harness.receiver.respond = (response) => response.writeHead(204).end();
    harness.deployment.clock.now = Date.now() + leaseMs;
    await harness.deployment.restart();
    await harness.advance(0);

    const callbacks = Map.groupBy(
      harness.receiver.received.map(({ path, body }) => ({ path, ...JSON.parse(body) })),
      ({ auth_req_id }) => auth_req_id as string,
    );
    let repeated = 0;
    for (const { agent, authReqId, verdict } of decided) {
      const received = callbacks.get(authReqId) ?? [];
      const events = (await harness.readEntries(toRequestId(authReqId))).map(({ event }) => event);
      const count = (event: string) => events.filter((one) => one === event).length;
      assert.ok(received.length > 0, `${verdict}: ${events}`);
      assert.equal(count("callback.sent"), 1, String(events));
      if (received.length > 1) repeated += 1;
      if (agent.id === "pinged") assert.deepEqual(Object.keys(received[0]!), ["path", "auth_req_id"]);
      else if (verdict === "deny") assert.ok(received.every(({ error }) => error === "access_denied"));
      else {
        assert.equal(new Set(received.map(({ access_token }) => access_token)).size, 1);
        assert.equal(count("token.issued"), 1);
      }
    }
    context.diagnostic(`${decided.length} answers told, ${repeated} of them more than once`);
    assert.ok(decided.length > kills);
    await harness.close();
  });
});
