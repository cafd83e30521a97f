/**
 * The server process is killed with SIGKILL at random moments while its answers are on their way to an agent that is
 * pinged and one that is pushed to. Afterwards, what these were told is held against what was decided. A seeded handful of
 * kills normally, more with COUNTERSIGN_LONG=1.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { killProcess, random, startProcess } from "@countersign/testing/process/server-process";
import { decide, pause, sendForm } from "@countersign/testing/process/story";
import {
  type CallbackHarness,
  type Caller,
  createCallbackHarness,
  newToken,
} from "@countersign/testing/server/callback-harness";
import { basic, issuer, type Person, requestIdOf } from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { freePort } from "@countersign/testing/server/tls-fetch";
import { leaseMs } from "../../src/domain/callback/callback.ts";

const kills = process.env.COUNTERSIGN_LONG ? 100 : 3;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 4;

let stage: CallbackHarness;
let ada: Person;
let agents: readonly Caller[];
let file: string;
let url: string;
let child: ChildProcess | undefined;
let over = false;

const start = () =>
  startProcess(file, { COUNTERSIGN_KEY: Buffer.from(stage.deployment.rootKey).toString("base64url") });

type Story = { readonly agent: Caller; readonly authReqId: string; readonly verdict: "approve" | "deny" };
const stories: Story[] = [];

const gone = new AbortController();
/** The one server, as whoever tells stories wants it. */
const scene = () => ({ issuer, server: () => url, cookie: ada.cookie, gone: gone.signal });

/** Asks and decides, one story after another. What is acknowledged is written down. */
async function work(worker: number, pick: () => number): Promise<void> {
  for (let story = 0; !over; story += 1) {
    const agent = agents[story % agents.length]!;
    const form = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([{ type: "rollout", service: `${worker}-${story}` }]),
      client_notification_token: newToken(),
      requested_expiry: "600",
    };
    const headers = { ...basic(agent), "idempotency-key": `${worker}-${story}` };
    const asked = await sendForm(scene(), "/bc-authorize", form, headers);
    const authReqId: string = JSON.parse(asked.text).auth_req_id;
    assert.ok(authReqId, asked.text);
    const verdict = pick() < 0.7 ? "approve" : "deny";
    assert.ok(await decide(scene(), requestIdOf(authReqId), verdict));
    stories.push({ agent, authReqId, verdict });
  }
}

before(async () => {
  stage = await createCallbackHarness();
  stage.deployment.clock.now = Date.now();
  // The process uses the machine's clock: a session of the harness's own date would have expired.
  ada = await stage.deployment.enrol("ada@example.com");
  agents = [await stage.admit("pinged", "ping", "/ping"), await stage.admit("pushed", "push", "/push")];
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  file = join(dirname(stage.deployment.file), "countersign.yaml");
  const limits = { max_pending_per_agent: 1000, max_requests_per_hour: 100_000 };
  writeFileSync(file, formatConfig(editConfig(stage.deployment.config, { listen: { port }, limits })));
  await stage.deployment.server.close();
});
after(async () => {
  over = true;
  gone.abort();
  await killProcess(child);
  // Also after a failure: an open listener would keep this file from ending.
  await stage.receiver.close();
});

test(`killed at ${kills} random moments (seed ${seed}), the server tells every answer, and pushes no second token`, {
  timeout: 60_000 + kills * 10_000,
}, async (context) => {
  const pick = random(seed);
  // Slow enough to be killed while it is answering.
  stage.receiver.answer = (response) => void setTimeout(() => response.writeHead(204).end(), pick() * 60);
  child = await start();
  const working = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker, pick)));
  working.catch(() => {});
  for (let round = 0; round < kills; round += 1) {
    await Promise.race([pause(300 + pick() * 900), working]);
    await killProcess(child);
    child = await start();
  }
  over = true;
  await working;
  await killProcess(child);

  // Whatever was under way is told when its lease has run out.
  stage.receiver.answer = (response) => response.writeHead(204).end();
  stage.deployment.clock.now = Date.now() + leaseMs;
  await stage.deployment.restart();
  await stage.pass(0);

  const told = Map.groupBy(
    stage.receiver.received.map(({ path, body }) => ({ path, ...JSON.parse(body) })),
    ({ auth_req_id }) => auth_req_id as string,
  );
  let repeated = 0;
  for (const { agent, authReqId, verdict } of stories) {
    const heard = told.get(authReqId) ?? [];
    const events = (await stage.told(requestIdOf(authReqId))).map(({ event }) => event);
    const count = (event: string) => events.filter((one) => one === event).length;
    assert.ok(heard.length > 0, `${verdict}: ${events}`);
    assert.equal(count("callback.sent"), 1, String(events));
    if (heard.length > 1) repeated += 1;
    if (agent.id === "pinged") assert.deepEqual(Object.keys(heard[0]!), ["path", "auth_req_id"]);
    else if (verdict === "deny") assert.ok(heard.every(({ error }) => error === "access_denied"));
    else {
      assert.equal(new Set(heard.map(({ access_token }) => access_token)).size, 1);
      assert.equal(count("token.issued"), 1);
    }
  }
  context.diagnostic(`${stories.length} answers told, ${repeated} of them more than once`);
  assert.ok(stories.length > kills);
  await stage.close();
});
