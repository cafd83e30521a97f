import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { type HttpReply, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { serve } from "@hono/node-server";
import type { ChangeEvent } from "../../src/store/store.ts";
import { createPollWaiters } from "../../src/usecase/token/long-poll.ts";

const deployment = useDeployment();
let order = 0;
beforeEach(() => {
  order += 1;
});

const wait = (seconds: number | string) => ({ prefer: `wait=${seconds}` });

async function asked(): Promise<string> {
  const details = JSON.stringify([{ ...refund, order: `L-${order}` }]);
  const { body } = await deployment.ask({ authorization_details: details });
  return body.auth_req_id;
}

function poll(authReqId: string, headers: Record<string, string> = {}): Promise<HttpReply> {
  return deployment.post(
    "/oauth/token",
    { grant_type: cibaGrantType, auth_req_id: authReqId },
    { ...toBasicAuth(deployment.agent), ...headers },
  );
}

/** A poll that is being held: nothing has answered it after the server has had time to. */
async function held(polling: Promise<HttpReply>): Promise<Promise<HttpReply>[]> {
  const early = await Promise.race([polling, new Promise((resolve) => setTimeout(resolve, 20))]);
  assert.equal(early, undefined, JSON.stringify(early));
  return [polling];
}

describe("POST /oauth/token with Prefer: wait", () => {
  test("returns at the decision", async () => {
    const id = await asked();
    const [polling] = await held(poll(id, wait(10)));
    await deployment.ada.decide(toRequestId(id), "approve");
    const decidedAt = performance.now();
    const { status, body, headers } = await polling!;
    const lateMs = performance.now() - decidedAt;
    assert.equal(status, 200, JSON.stringify(body));
    assert.ok(body.access_token);
    assert.equal(headers.get("preference-applied"), "wait=10");
    assert.ok(lateMs < 250, `${lateMs} ms after the decision`);
  });

  test("returns on denial and expiry", async () => {
    const denied = await asked();
    const [first] = await held(poll(denied, wait(10)));
    await deployment.ada.decide(toRequestId(denied), "deny");
    assert.equal((await first!).body.error, "access_denied");

    order += 1000;
    const expired = await asked();
    const [second] = await held(poll(expired, wait(30)));
    deployment.clock.now += 121_000;
    assert.equal((await second!).body.error, "expired_token");
  });

  test("returns authorization_pending after the requested time, at most 30 seconds", async () => {
    const id = await asked();
    const [polling] = await held(poll(id, wait(600)));
    deployment.clock.now += 29_000;
    await held(polling!);
    deployment.clock.now += 1_000;
    const { status, body, headers } = await polling!;
    assert.deepEqual([status, body.error], [400, "authorization_pending"]);
    assert.equal(headers.get("preference-applied"), "wait=30");
  });

  test("returns at once without a valid wait preference", async () => {
    const id = await asked();
    for (const prefer of [
      "",
      "respond-async",
      "wait=0",
      "wait=-5",
      "wait=soon",
      "await=5",
      "wait",
      "x=wait=5",
      "wait=99999999999",
    ]) {
      const { body, headers } = await poll(id, prefer ? { prefer } : {});
      assert.equal(body.error, "authorization_pending", prefer);
      assert.equal(headers.get("preference-applied"), null, prefer);
      deployment.clock.now += 6_000;
    }
  });

  test("finds wait among other preferences, in any spelling", async () => {
    for (const prefer of ['respond-async, Wait = "7"', "wait=7, wait=9", "handling=lenient;x=1,wait=7"]) {
      order += 1;
      const id = await asked();
      const [polling] = await held(poll(id, { prefer }));
      await deployment.ada.decide(toRequestId(id), "approve");
      assert.equal((await polling!).headers.get("preference-applied"), "wait=7", prefer);
    }
  });

  test("returns an earlier decision at once", async () => {
    const id = await asked();
    await deployment.ada.decide(toRequestId(id), "approve");
    assert.equal((await poll(id, wait(30))).status, 200);
    assert.equal((await poll(id, wait(30))).body.error, "invalid_grant");
  });

  test("returns slow_down for a concurrent poll, and keeps the first one waiting", async () => {
    const id = await asked();
    const [polling] = await held(poll(id, wait(30)));
    deployment.clock.now += 15_000;
    const second = await poll(id, wait(30));
    assert.deepEqual([second.body.error, second.headers.get("retry-after")], ["slow_down", "10"]);
    await deployment.ada.decide(toRequestId(id), "approve");
    assert.equal((await polling!).status, 200);
  });

  test("measures the interval between polls from the time that each was sent", async () => {
    const id = await asked();
    for (const seconds of [5, 6]) {
      const [polling] = await held(poll(id, wait(seconds)));
      deployment.clock.now += seconds * 1000;
      assert.equal((await polling!).body.error, "authorization_pending");
    }
    const [short] = await held(poll(id, wait(1)));
    deployment.clock.now += 1_000;
    assert.equal((await short!).body.error, "authorization_pending");
    assert.equal((await poll(id, wait(1))).body.error, "slow_down");
  });

  test("returns access_denied if the agent was paused while waiting", async () => {
    const { pauseAgent } = await import("../../src/usecase/client/client-lifecycle.ts");
    const id = await asked();
    const [polling] = await held(poll(id, wait(10)));
    // Approved and paused in one write: the hold ends, and by then the agent is paused.
    const approval = (await deployment.server.store.read("request", toRequestId(id)))!;
    const agent = (await deployment.server.store.read("agent", "agent-1"))!;
    const { operator } = await import("../../src/audit/actor.ts");
    const { newEntry } = await import("../../src/audit/new-entry.ts");
    const now = deployment.clock.now;
    const decision = {
      approver: deployment.ada.approver,
      at: now,
      level: "session" as const,
      authenticatedAt: now,
      amr: [],
    };
    await deployment.server.store.commit({
      writes: [
        {
          put: "request",
          record: { ...approval.record, status: { state: "approved", decision } },
          ifVersion: approval.version,
        },
        { put: "agent", record: { ...agent.record, paused: true }, ifVersion: agent.version },
      ],
      entries: [newEntry("agent.paused", now, { actor: operator, agent: "agent-1" })],
    });
    assert.equal((await polling!).body.error, "access_denied");
    await pauseAgent(deployment.server.store, "agent-1", false);
  });

  test("issues no token if the registration changed while waiting, and returns 503", async () => {
    const { updateAgent } = await import("../../src/usecase/client/update-agent.ts");
    const id = await asked();
    const [polling] = await held(poll(id, wait(10)));
    const agent = (await deployment.server.store.read("agent", "agent-1"))!;
    const { credential, ...rest } = agent.record;
    assert.equal(credential.method, "client_secret_basic");
    const next = { ...rest, credential: { method: "client_secret_basic" as const } };
    const changed = await updateAgent(deployment.server.store, agent, next, { by: "command", renew: true });
    assert.ok(changed !== "conflict" && changed.secret !== undefined);
    await deployment.ada.decide(toRequestId(id), "approve");
    const answer = await polling!;
    assert.deepEqual([answer.status, answer.body.error], [503, "temporarily_unavailable"]);
    assert.ok(answer.headers.get("retry-after"));
    assert.equal((await poll(id)).body.error, "invalid_client");
    const renewed = toBasicAuth({ id: "agent-1", secret: changed.secret });
    assert.equal((await poll(id, renewed)).status, 200);
    Object.assign(deployment.agent, { secret: changed.secret });
  });

  test("issues no token to a client that has disconnected", async () => {
    const id = await asked();
    const gone = new AbortController();
    const body = new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: id });
    const polling = deployment.request("/oauth/token", {
      method: "POST",
      headers: {
        ...toBasicAuth(deployment.agent),
        ...wait(30),
        "content-type": "application/x-www-form-urlencoded",
      },
      body,
      signal: gone.signal,
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const decided = deployment.ada.decide(toRequestId(id), "approve");
    gone.abort();
    await Promise.all([decided, polling]);
    assert.equal((await deployment.server.store.readStatus(toRequestId(id)))?.state, "approved");
    deployment.clock.now += 6_000;
    assert.equal((await poll(id)).status, 200);
  });

  test("releases a disconnected client, and responds to waiting ones at shutdown", async (t) => {
    const listener = serve({
      fetch: (request) => deployment.server.fetch(request),
      hostname: "127.0.0.1",
      port: 0,
    });
    await new Promise<void>((resolve) => listener.once("listening", resolve));
    t.after(() => new Promise((resolve) => listener.close(resolve)));
    const { port } = listener.address() as AddressInfo;
    const post = (id: string) => {
      const body = new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: id }).toString();
      const headers = {
        ...toBasicAuth(deployment.agent),
        ...wait(30),
        "content-type": "application/x-www-form-urlencoded",
      };
      const request = httpRequest({ port, host: "127.0.0.1", path: "/oauth/token", method: "POST", headers });
      request.on("error", () => {});
      request.end(body);
      return request;
    };
    const id = await asked();
    const gone = post(id);
    await new Promise((resolve) => setTimeout(resolve, 100));
    deployment.clock.now += 6_000;
    assert.equal((await poll(id)).body.error, "slow_down");
    gone.destroy();
    const deadline = Date.now() + 2_000;
    let again: HttpReply;
    do {
      await new Promise((resolve) => setTimeout(resolve, 10));
      deployment.clock.now += 11_000;
      again = await poll(id);
    } while (again.body.error === "slow_down" && Date.now() < deadline);
    assert.equal(again.body.error, "authorization_pending");

    order += 1000;
    const waiting = post(await asked());
    const answered = new Promise<number>((resolve) =>
      waiting.on("response", (response) => resolve(response.resume().statusCode ?? 0)),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    deployment.server.beginShutdown();
    assert.equal(await answered, 400);
    order += 1000;
    assert.equal((await poll(await asked(), wait(30))).body.error, "authorization_pending");
  });
});

describe("createPollWaiters", () => {
  test("releases a caller if the decision came before it was registered", async () => {
    const holds = createPollWaiters({ now: () => 0, findNotPending: (ids) => ids, watch: () => () => {} });
    await holds.wait("req_1", 1_000, new AbortController().signal);
    assert.equal(holds.isWaiting("req_1"), false);
  });

  test("uses one watch and one timer for all callers, and releases both with the last", async () => {
    let watches = 0;
    let tell: (wake: ChangeEvent) => void = () => {};
    const now = 1_000;
    const states = new Map<string, "denied">();
    const asked: number[] = [];
    const holds = createPollWaiters({
      now: () => now,
      findNotPending: (ids) => {
        asked.push(ids.length);
        return ids.filter((id) => states.has(id));
      },
      watch: (listener) => {
        watches += 1;
        tell = listener;
        return () => {
          watches -= 1;
        };
      },
    });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const hangUps = Array.from({ length: 1000 }, () => new AbortController());
    const all = hangUps.map(({ signal }, at) => holds.wait(`req_${at}`, now + 1000, signal));
    assert.equal(watches, 1);
    assert.ok(timers() <= before + 1);
    await new Promise(setImmediate);
    const wake = { candidates: [], delivery: "poll" as const };
    tell({ ...wake, requestId: "req_0", state: "pending" });
    assert.equal(holds.isWaiting("req_0"), true);
    tell({ ...wake, requestId: "req_0", state: "approved" });
    await all[0];
    // Another process wrote something: who has an answer by now goes, the others stay.
    states.set("req_1", "denied");
    tell(undefined);
    await all[1];
    assert.deepEqual(
      [holds.isWaiting("req_0"), holds.isWaiting("req_1"), holds.isWaiting("req_2")],
      [false, false, true],
    );
    assert.deepEqual(asked, [1000, 999], "one question for all that are new, and one for all of them");
    for (const hangUp of hangUps) hangUp.abort();
    await Promise.all(all);
    assert.equal(watches, 0);
    assert.ok(timers() <= before);
  });
});
