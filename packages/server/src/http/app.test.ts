import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { beforeEach, describe, test } from "node:test";
import type { WebhookRoute } from "../channel/channel.ts";
import { type AppDeps, createApp, createProtocolApp } from "./app.ts";
import type { Route } from "./route.ts";
import { anonymousPeer } from "./transport/peer.ts";

const url = "https://countersign.example/channels/chat/interactions";
const secret = "a signing secret";
const sign = (body: Uint8Array | string) => createHmac("sha256", secret).update(body).digest("hex");

const received: string[] = [];
const faults: string[] = [];
beforeEach(() => {
  received.length = 0;
  faults.length = 0;
});

const route: WebhookRoute = {
  method: "POST",
  path: "/channels/chat/interactions",
  async webhook({ header, body }) {
    if (header("x-signature") !== sign(body)) return { status: 401, json: { error: "invalid_signature" } };
    const text = Buffer.from(body).toString("utf8");
    if (text === "fail") throw new Error("a bug in the handler");
    received.push(text);
    return { status: 200 };
  },
};
const routes: readonly Route[] = [{ ...route, access: "webhook" }];
const deps: AppDeps = {
  // No page is rendered.
  pages: undefined as never,
  hsts: true,
  onFault: (fault, where) => faults.push(`${where}: ${(fault as Error).message}`),
};
const app = createApp(routes, deps);

async function post(body: string, headers: Record<string, string> = { "x-signature": sign(body) }) {
  return await app.fetch(new Request(url, { method: "POST", body, headers }), anonymousPeer);
}

describe("webhook routes", () => {
  test("pass the exact bytes on, and return the reply with the common headers", async () => {
    const body = 'payload={"a": 1}&%00 é\r\n';
    const response = await post(body);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("strict-transport-security"), "max-age=31536000");
    assert.deepEqual(received, [body]);
  });

  test("return the channel's refusal of a bad signature", async () => {
    const response = await post("payload", { "x-signature": sign("other") });
    assert.equal(response.status, 401);
    assert.deepEqual(await response.json(), { error: "invalid_signature" });
    assert.deepEqual(received, []);
  });

  test("reject a body over 64 KiB before the channel sees it", async () => {
    const body = "x".repeat(64 * 1024 + 1);
    const response = await post(body);
    assert.ok(response.status >= 400 && response.status < 500, String(response.status));
    assert.deepEqual([received, faults], [[], []]);
  });

  test("reports an error in the handler, and responds 503", async () => {
    const response = await post("fail");
    assert.equal(response.status, 503);
    assert.deepEqual(faults, ["POST /channels/chat/interactions: a bug in the handler"]);
  });

  test("serve only POST, and nothing on the mutual TLS listener", async () => {
    assert.equal((await app.fetch(new Request(url), anonymousPeer)).status, 404);
    const request = new Request(url, { method: "POST", body: "x", headers: { "x-signature": sign("x") } });
    assert.equal((await createProtocolApp(routes, deps).fetch(request, anonymousPeer)).status, 404);
    assert.deepEqual(received, []);
  });
});
