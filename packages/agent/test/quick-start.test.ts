import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, mock, test } from "node:test";
import { createSelfSigned } from "@countersign/testing/server/certificate";
import { decodeJwt, exportPKCS8, generateKeyPair } from "jose";
import {
  accessToken,
  acknowledged,
  approved,
  metadataOf,
  oauthError,
  type StandIn,
  standIn,
  until,
} from "./stand-in.ts";

const granted = { type: "refund", order: "A-1001", amount: "10000.00", currency: "USD" };
let stand: StandIn;
let samples: typeof import("./quick-start.ts");
let kept: typeof import("./quick-start-store.ts");
const calls: [string, object][] = [];
const proofs: (string | null)[] = [];
const folder = mkdtempSync(join(tmpdir(), "countersign-agent-"));

before(async () => {
  stand = await standIn();
  process.env.COUNTERSIGN_ISSUER = stand.issuer;
  process.env.COUNTERSIGN_CLIENT_ID = "refunder";
  process.env.COUNTERSIGN_CLIENT_SECRET = "s3cret";
  process.env.PAYMENTS_URL = "https://payments.example";
  samples = await import("./quick-start.ts");
  kept = await import("./quick-start-store.ts");
  const network = globalThis.fetch;
  mock.method(globalThis, "fetch", async (url: string, init: RequestInit) => {
    if (!url.startsWith("https://payments.example")) return network(url, init);
    const headers = new Headers(init.headers);
    calls.push([headers.get("authorization")!, JSON.parse(`${init.body}`)]);
    proofs.push(headers.get("dpop"));
    return new Response("refunded");
  });
});
after(() => {
  rmSync(folder, { recursive: true });
  return stand.close();
});
beforeEach(() => {
  calls.length = 0;
});

describe("README sample", () => {
  test("asks, waits, and calls the API with the granted action and its token (first sample)", async () => {
    stand.ask = [acknowledged({ interval: 1 })];
    stand.token = [oauthError("authorization_pending"), await approved(stand, granted)];
    assert.equal(await samples.refund("A-1001", "10000.00"), "done: refunded");
    assert.deepEqual(calls, [[`Bearer ${accessToken}`, granted]]);
  });

  test("prints a text for each other outcome (first sample)", async () => {
    for (const [error, words] of [
      ["access_denied", "denied: too much"],
      ["expired_token", "expired without a decision"],
      ["unauthorized_client", "refused: unauthorized_client"],
      [
        "invalid_grant",
        "approved, but the token was lost: check whether the refund was made, then ask again",
      ],
    ] as const) {
      stand.token = [oauthError(error, { denial_reason: "too much" })];
      assert.equal(await samples.refund("A-1001", "10000.00"), words);
    }
    assert.deepEqual(calls, []);
  });

  test("requests both actions as one, and calls the API once (sample for several actions)", async () => {
    const transfer = { type: "transfer", from: "reserve", to: "payouts", amount: "10000.00" };
    stand.token = [await approved(stand, {}, { authorization_details: [transfer, granted] })];
    assert.equal(await samples.payOut("A-1001", "10000.00"), "approved");
    assert.deepEqual(calls, [
      [`Bearer ${accessToken}`, { from: "reserve", order: "A-1001", amount: "10000.00" }],
    ]);
  });

  test("resumes a stored request (second sample, T21)", async () => {
    stand.token = [await approved(stand, granted)];
    const store = new Map();
    const first = kept.refundForTicket("4711", "A-1001", "10000.00", store);
    await until(() => store.size > 0);
    assert.equal([...store.keys()][0], "refund-4711");
    assert.equal((await first).outcome, "approved");
    assert.equal(store.size, 0);
  });

  test("asks in one process and finishes in another (third sample, T21)", async () => {
    stand.ask = [acknowledged()];
    stand.token = [await approved(stand, granted)];
    const { signal } = new AbortController();
    const saved = await samples.askNow("A-1001", "10000.00", signal);
    assert.equal(stand.seen.at(-1)?.form.get("login_hint"), "dana@shop.example");
    assert.equal(await samples.finishLater(saved, signal), "refunded");

    stand.token = [oauthError("access_denied")];
    assert.equal(await samples.finishLater(saved, signal), "denied");
    stand.ask = [oauthError("access_denied")];
    await assert.rejects(
      samples.askNow("A-1001", "10000.00", signal),
      /request refused: it is access_denied/,
    );
  });

  const pinged = (token: string | null | undefined) => ({
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ auth_req_id: "req-1" }),
  });
  const notificationToken = () => stand.seen.at(-1)?.form.get("client_notification_token");

  test("receives a ping in Hono, Express and Next, and ends the wait (callback samples)", async () => {
    const { agent, app } = await import("./quick-start-hono.ts");
    const { POST } = await import("./quick-start-next.ts");
    const { app: expressApp } = await import("./quick-start-express.ts");
    const server = expressApp.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/countersign`;
    for (const send of [
      async (init: RequestInit) => app.request("/countersign", init),
      async (init: RequestInit) => POST(new Request("https://agent.example/countersign", init)),
      (init: RequestInit) => fetch(url, init),
    ]) {
      stand.ask = [acknowledged()];
      stand.token = [await approved(stand, granted)];
      const asked = await agent.ask({ action: granted, approver: "owner" });
      assert(asked.outcome === "asked");
      const waiting = agent.wait(asked.ask);
      assert.equal((await send(pinged(notificationToken()))).status, 204);
      assert.equal((await waiting).outcome, "approved");
    }
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test("calls onReady when the request is decided, and finishes it (onReady sample, T21)", async () => {
    const sample = await import("./quick-start-ready.ts");
    stand.ask = [acknowledged()];
    stand.token = [await approved(stand, granted)];
    await sample.askNow("4711", "A-1001", "10000.00");
    const ping = pinged(notificationToken());
    const callback = new Request("https://agent.example/countersign", ping);
    assert.equal((await sample.agent.receive(callback)).status, 204);
    await until(() => calls.length > 0);
    assert.deepEqual(calls, [[`Bearer ${accessToken}`, granted]]);
  });

  test("signs its request, and sends the API a proof with the token (key sample)", async () => {
    const body = { ...metadataOf(stand.issuer), dpop_signing_alg_values_supported: ["ES256"] };
    stand.metadata = [{ status: 200, body }];
    process.env.COUNTERSIGN_KEY_FILE = join(folder, "key.pem");
    const { privateKey } = await generateKeyPair("ES256", { extractable: true });
    writeFileSync(process.env.COUNTERSIGN_KEY_FILE, await exportPKCS8(privateKey));
    const sample = await import("./quick-start-key.ts");
    stand.ask = [acknowledged()];
    stand.token = [await approved(stand, granted, { token_type: "DPoP" })];
    stand.seen.length = 0;
    const outcome = await sample.refund("A-1001", "10000.00");
    assert.deepEqual(outcome, { outcome: "approved", result: "refunded" });
    assert.equal(decodeJwt(stand.seen[0]!.form.get("request")!).login_hint, "owner");
    assert.deepEqual(calls, [[`DPoP ${accessToken}`, granted]]);
    assert.equal(decodeJwt(proofs.at(-1)!).htu, "https://payments.example/refunds");
  });

  test("reads the certificate, and presents it over https only (certificate sample)", async () => {
    const { certificate, key } = await createSelfSigned("CN=refunder");
    process.env.COUNTERSIGN_CERTIFICATE_FILE = join(folder, "certificate.pem");
    writeFileSync(process.env.COUNTERSIGN_CERTIFICATE_FILE, certificate);
    writeFileSync(process.env.COUNTERSIGN_KEY_FILE!, key);
    const sample = await import("./quick-start-certificate.ts");
    await assert.rejects(sample.presenting(stand.issuer), /over https: only/);
  });
});
