/** A server that is told to stop, as a process: who waits is answered, what has begun is finished, and nobody new is taken in. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  countEvents,
  createFaultHarness,
  type FaultHarness,
} from "@countersign/testing/process/fault-harness";
import { toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";

let harness: FaultHarness;
before(async () => {
  harness = await createFaultHarness(mkdtempSync(join(tmpdir(), "countersign-shutdown-")), {
    logging: { level: "info" },
  });
});
after(() => harness.close());

/** A connection on which a request has begun and arrived: its head has been read, and its body is waited for (RFC 9110 §10.1.1). */
async function begun(url: string, head: readonly string[]): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
  await once(socket, "connect");
  socket.setEncoding("utf8").write([...head, "expect: 100-continue", "", ""].join("\r\n"));
  const [first] = await once(socket, "data");
  assert.equal(first, "HTTP/1.1 100 Continue\r\n\r\n");
  return socket;
}

/** All that arrives until the other side ends the connection. */
async function rest(socket: Socket): Promise<string> {
  let said = "";
  for await (const text of socket) said += text;
  return said;
}

describe("shutdown on SIGTERM", () => {
  test("responds to waiting polls, finishes a redemption in progress, and exits with 0", async () => {
    const node = await harness.start();
    const waiting = await Promise.all(["S-1", "S-2", "S-3"].map((order) => node.ask(order)));
    const approved = await node.ask("S-4");
    assert.equal(await node.decide(toRequestId(approved.body.auth_req_id)), 303);

    const held = waiting.map(({ body }) => node.poll(body.auth_req_id, { prefer: "wait=30" }));
    // A second poll beside one that is held is told to slow down: that one has arrived.
    for (const { body } of waiting)
      while ((await node.poll(body.auth_req_id)).body.error !== "slow_down")
        await new Promise((resolve) => setTimeout(resolve, 20));
    const form = new URLSearchParams({
      grant_type: cibaGrantType,
      auth_req_id: approved.body.auth_req_id,
    }).toString();
    const redemption = await begun(node.url, [
      "POST /oauth/token HTTP/1.1",
      "host: localhost",
      `authorization: ${toBasicAuth(harness.agent).authorization}`,
      "content-type: application/x-www-form-urlencoded",
      `content-length: ${form.length}`,
    ]);
    redemption.write(form.slice(0, 20));

    const gone = once(node.child, "exit");
    const toldAt = performance.now();
    node.child.kill("SIGTERM");
    const answers = await Promise.all(held);
    assert.ok(performance.now() - toldAt < 5_000, "who polled with wait=30 did not have to wait");
    for (const { status, body } of answers)
      assert.deepEqual([status, body.error], [400, "authorization_pending"]);

    // What has begun may still be finished, and whoever asks on a connection that is open hears that this node is leaving.
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
    redemption.write(form.slice(20) + get("/readyz") + get("/livez"));
    const [redeemed = "", ready = "", live = ""] = (await rest(redemption)).split(/(?=HTTP\/1\.1 )/);
    assert.match(redeemed, /^HTTP\/1\.1 200 [\s\S]*"access_token"/);
    assert.match(ready, /^HTTP\/1\.1 503 [\s\S]*retry-after: 2[\s\S]*not ready\n$/i);
    assert.match(live, /^HTTP\/1\.1 200 /);
    assert.deepEqual(await gone, [0, null]);
    await assert.rejects(fetch(`${node.url}/livez`), "nobody new is taken in");

    assert.match(node.readOutput(), /^stopped$/m);
    assert.match(node.readStderr(), /"signal":"SIGTERM","event":"stopping"[\s\S]*"event":"stopped"/);
    assert.doesNotMatch(node.readStderr(), /"event":"(fault|crash)"/);
    const entries = await harness.readEntries();
    assert.equal(countEvents(entries, toRequestId(approved.body.auth_req_id), "token.issued"), 1);
    for (const { body } of waiting)
      assert.equal(countEvents(entries, toRequestId(body.auth_req_id), "request.created"), 1);
  });

  test("responds at once to a poll that arrives during the shutdown", async () => {
    const node = await harness.start();
    const { body } = await node.ask("S-5");
    const form = new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: body.auth_req_id }).toString();
    const late = await begun(node.url, [
      "POST /oauth/token HTTP/1.1",
      "host: localhost",
      `authorization: ${toBasicAuth(harness.agent).authorization}`,
      "content-type: application/x-www-form-urlencoded",
      "prefer: wait=30",
      `content-length: ${form.length}`,
    ]);
    const gone = once(node.child, "exit");
    node.child.kill("SIGTERM");
    await node.waitForStderr(/"event":"stopping"/);
    late.write(form);
    assert.match(await rest(late), /^HTTP\/1\.1 400 [\s\S]*"authorization_pending"/);
    assert.deepEqual(await gone, [0, null]);
  });

  test("exits although a client never finishes its request", async () => {
    const node = await harness.start();
    const idle = await begun(node.url, [
      "POST /oauth/token HTTP/1.1",
      "host: localhost",
      "content-length: 10",
    ]);
    idle.write("half");
    const stream = await fetch(`${node.url}/inbox/events`, { headers: { cookie: harness.cookie } });
    assert.equal(stream.status, 200);
    const gone = once(node.child, "exit");
    const toldAt = performance.now();
    node.child.kill("SIGTERM");
    assert.deepEqual(await gone, [0, null]);
    assert.ok(performance.now() - toldAt < 15_000);
    await assert.rejects(stream.text());
    assert.doesNotMatch(await rest(idle).catch(() => ""), /200/);
  });
});
