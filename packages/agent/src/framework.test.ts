/** The callback endpoint in each framework, over real sockets: the same responses everywhere. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { serve } from "@hono/node-server";
import express from "express";
import { Hono } from "hono";
import { type StandIn, standIn, testClock } from "../test/stand-in.ts";
import { createAgent } from "./agent.ts";
import { callback as expressCallback } from "./express.ts";
import { callback as honoCallback } from "./hono.ts";

let stand: StandIn;
let token: string;
const servers: Server[] = [];
/** Creates an agent with a pending request. */
async function newAgent() {
  const credentials = { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" };
  const agent = createAgent(credentials, { clock: testClock(), callback: {} });
  await agent.ask({ action: { type: "refund" }, approver: "owner", idempotencyKey: "ticket-4711" });
  return agent;
}

before(async () => {
  stand = await standIn();
  await newAgent();
  token = stand.seen[0]?.form.get("client_notification_token") ?? "";
});
after(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await stand.close();
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
}

const ways: Record<string, () => Promise<(init: RequestInit) => Promise<Response>>> = {
  async Hono() {
    const app = new Hono().post("/callback", honoCallback(await newAgent()));
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
    await new Promise((resolve) => server.once("listening", resolve));
    const url = await listening(server);
    return (init) => fetch(url, init);
  },
  async Express() {
    const url = await listening(createServer(express().post("/callback", expressCallback(await newAgent()))));
    return (init) => fetch(url, init);
  },
  async "Express, behind its JSON parser"() {
    const app = express().use(express.json());
    const url = await listening(createServer(app.post("/callback", expressCallback(await newAgent()))));
    return (init) => fetch(url, init);
  },
  async "Express, behind its text and raw parsers"() {
    const app = express().use(express.text({ type: "*/*" }), express.raw({ type: "*/*" }));
    const url = await listening(createServer(app.post("/callback", expressCallback(await newAgent()))));
    return (init) => fetch(url, init);
  },
  async "a bare fetch handler"() {
    const server = { fetch: (await newAgent()).receive };
    return (init) => server.fetch(new Request("http://agent.example/callback", init));
  },
};

describe("callback handler", () => {
  for (const [name, mount] of Object.entries(ways))
    test(`responds in ${name}: 204 with a token, 401 without one, 413 to a body that is too long`, async () => {
      const send = await mount();
      const post = (body: object, authorization = `Bearer ${token}`) =>
        send({
          method: "POST",
          headers: { authorization, "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const taken = await post({ auth_req_id: "req-1" });
      assert.deepEqual([taken.status, await taken.text()], [204, ""]);
      const refused = await post({ auth_req_id: "req-1" }, "Bearer x");
      assert.deepEqual([refused.status, refused.headers.get("www-authenticate")], [401, "Bearer"]);
      assert.equal((await post({ auth_req_id: 7 })).status, 400);
      assert.equal((await post({ auth_req_id: "req-1", more: "x".repeat(80_000) })).status, 413);
    });
});
