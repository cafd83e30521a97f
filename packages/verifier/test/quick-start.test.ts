import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { type StandIn, standIn } from "./stand-in.ts";

const refund = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD" };
let stand: StandIn;
const closers: (() => unknown)[] = [];
before(async () => {
  stand = await standIn();
  process.env.COUNTERSIGN_ISSUER = stand.issuer;
  process.env.COUNTERSIGN_CLIENT_ID = "payments";
  process.env.COUNTERSIGN_CLIENT_SECRET = "s3cret";
});
after(async () => {
  for (const close of closers) await close();
  await stand.close();
});

const issue = () => {
  const now = Math.floor(Date.now() / 1000);
  return stand.issue(refund, { iat: now, exp: now + 60 });
};
const post = (token: string, body: object = refund) => ({
  method: "POST",
  headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  body: JSON.stringify(body),
});
const done = { refunded: "A-1001", amount: "10000.00", approvedBy: ["appr_1"] };

describe("README sample", () => {
  test("runs the approved call once, and nothing else (Hono sample, T9, T17)", async () => {
    const { app } = await import("./quick-start-hono.ts");
    const token = await issue();
    assert.equal((await app.request("/refunds", post(token, { ...refund, amount: "10000.01" }))).status, 403);
    const first = await app.request("/refunds", post(token));
    assert.deepEqual([first.status, await first.json()], [200, done]);
    assert.equal((await app.request("/refunds", post(token))).status, 401);
    assert.equal((await app.request("/refunds", { method: "POST" })).status, 401);
  });

  test("runs both actions once, and neither alone (sample for several, T9, T17)", async () => {
    const { app } = await import("./quick-start-hono.ts");
    const now = Math.floor(Date.now() / 1000);
    const transfer = { type: "transfer", from: "reserve", to: "payouts", amount: refund.amount };
    const token = await stand.issue([transfer, refund], { iat: now, exp: now + 60 });
    assert.equal((await app.request("/refunds", post(token))).status, 403);
    assert.equal((await app.request("/payouts", post(token, { ...refund, order: "B-2" }))).status, 403);
    const first = await app.request("/payouts", post(token));
    assert.deepEqual([first.status, await first.json()], [200, { moved: "10000.00", refunded: "A-1001" }]);
    assert.equal((await app.request("/payouts", post(token))).status, 401);
  });

  test("runs the approved call once, and nothing else (Express sample, T9, T17)", async () => {
    const { app } = await import("./quick-start-express.ts");
    const server = app.listen(0, "127.0.0.1");
    closers.push(() => server.close());
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/refunds`;
    const token = await issue();
    assert.equal((await fetch(url, post(token, { ...refund, amount: "10000.01" }))).status, 403);
    const first = await fetch(url, post(token));
    assert.deepEqual([first.status, await first.json()], [200, done]);
    assert.equal((await fetch(url, post(token))).status, 401);
  });

  test("runs the approved call once, and nothing else (Fastify sample, T9, T17)", async () => {
    const { app } = await import("./quick-start-fastify.ts");
    closers.push(() => app.close());
    const token = await issue();
    const inject = async (body: object = refund) => {
      const { method: _, body: payload, ...rest } = post(token, body);
      return await app.inject({ method: "POST", url: "/refunds", payload, ...rest });
    };
    assert.equal((await inject({ ...refund, amount: "10000.01" })).statusCode, 403);
    const first = await inject();
    assert.deepEqual([first.statusCode, first.json()], [200, done]);
    assert.equal((await inject()).statusCode, 401);
  });

  test("runs the approved call once, and nothing else (Fetch sample, T9, T17)", async () => {
    const { POST } = await import("./quick-start-fetch.ts");
    const token = await issue();
    const call = (body: object = refund) => POST(new Request("http://localhost/refunds", post(token, body)));
    assert.equal((await call({ ...refund, amount: "10000.01" })).status, 403);
    const first = await call();
    assert.deepEqual([first.status, await first.json()], [200, done]);
    assert.equal((await call()).status, 401);
  });

  test("returns a rejection unchanged (sample without a framework, T9, T17)", async () => {
    const samples = await import("./quick-start-hono.ts");
    const token = await issue();
    const changed = await samples.refund(`Bearer ${token}`, "A-1001", "10000.01");
    assert.equal(changed.status, 403);
    assert.match(changed.headers.get("www-authenticate")!, /insufficient_scope/);
    const first = await samples.refund(`Bearer ${token}`, "A-1001", "10000.00");
    assert.equal(((await first.json()) as { refunded: string }).refunded, "A-1001");
    assert.equal((await samples.refund(`Bearer ${token}`, "A-1001", "10000.00")).status, 401);
    assert.equal((await samples.refund(null, "A-1001", "10000.00")).status, 401);
  });
});
