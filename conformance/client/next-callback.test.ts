/** The agent SDK's callback endpoint as a route handler of Next.js; the other frameworks are in its own tests. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createAgent } from "@countersign/agent";
import { NextRequest } from "next/server.js";
import { type StandIn, standIn, testClock } from "../../packages/agent/test/stand-in.ts";

let stand: StandIn;
let POST: (request: Request) => Promise<Response>;
let token: string;
before(async () => {
  stand = await standIn();
  const credentials = { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" };
  const agent = createAgent(credentials, { clock: testClock(), callback: {} });
  await agent.ask({ action: { type: "refund" }, approver: "owner", idempotencyKey: "ticket-4711" });
  token = stand.seen[0]?.form.get("client_notification_token") ?? "";
  POST = agent.receive;
});
after(() => stand.close());

const post = (body: object, authorization = `Bearer ${token}`) =>
  POST(
    new NextRequest("http://agent.example/callback", {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  );

describe("callback route handler", () => {
  test("returns 204 for a callback with its token", async () => {
    const response = await post({ auth_req_id: "req-1" });
    assert.deepEqual([response.status, await response.text()], [204, ""]);
  });

  test("returns 401 for a callback without its token", async () => {
    const response = await post({ auth_req_id: "req-1" }, "Bearer x");
    assert.deepEqual([response.status, response.headers.get("www-authenticate")], [401, "Bearer"]);
  });

  test("rejects a malformed body and one that is too long", async () => {
    assert.equal((await post({ auth_req_id: 7 })).status, 400);
    assert.equal((await post({ auth_req_id: "req-1", more: "x".repeat(80_000) })).status, 413);
  });
});
