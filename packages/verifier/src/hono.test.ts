import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { audience, type StandIn, standIn, testClock, until } from "../test/stand-in.ts";
import { countersigned } from "./hono.ts";
import { createVerifier, type Spent, type Verifier } from "./verifier.ts";

let stand: StandIn;
let verifier: Verifier;
let token: string;
const refund = { type: "refund", order: "A-1001", amount: "10000.00" };
type Body = { amount: string };

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  stand.spends.length = 0;
  const clock = testClock();
  verifier = createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "payments",
    clientSecret: "s3cret",
    clock,
  });
  token = await stand.issue(refund);
});

const stateOf = (token: string) => stand.tokens.get(token)?.state;
const guard = () =>
  countersigned<"/orders/:order/refund">(verifier, async (c) => ({
    type: "refund",
    order: c.req.param("order"),
    amount: (await c.req.json<Body>()).amount,
  }));
const post = (app: Hono, { authorization = `Bearer ${token}`, amount = "10000.00" } = {}) =>
  app.request("/orders/A-1001/refund", {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ amount }),
  });

test("the token is reserved before the handler runs and completed after it; the body is read by both", async () => {
  const app = new Hono();
  app.post("/orders/:order/refund", guard(), async (c) => {
    assert.equal(stateOf(token), "reserved");
    const { action, agent, approvedBy } = c.get("countersign");
    return c.json({ action, agent, approvedBy, body: await c.req.json() });
  });
  const response = await post(app);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    action: refund,
    agent: "refunder",
    approvedBy: ["appr_1"],
    body: { amount: "10000.00" },
  });
  assert.equal(stateOf(token), "completed");
});

test("T9, T17: another amount, the same token again, and no token are refused before the handler", async () => {
  let runs = 0;
  const app = new Hono();
  app.post("/orders/:order/refund", guard(), (c) => {
    runs += 1;
    return c.text("refunded");
  });
  const changed = await post(app, { amount: "10000.01" });
  assert.equal(changed.status, 403);
  assert.match(changed.headers.get("www-authenticate")!, /insufficient_scope.*: amount/);
  assert.deepEqual(await changed.json(), {
    error: "insufficient_scope",
    error_description: "The call is not the action that was approved: amount",
  });
  assert.equal(runs, 0);
  assert.equal((await post(app)).status, 200);
  const again = await post(app);
  assert.equal(again.status, 401);
  assert.match(again.headers.get("www-authenticate")!, /invalid_token.*has been used/);
  const bare = await post(app, { authorization: "" });
  assert.equal(bare.status, 401);
  assert.equal(bare.headers.get("www-authenticate"), `Bearer realm="${audience}"`);
  assert.equal(runs, 1);
});

test("an answer of 400 or more, and a throw of any kind, fail the spend; a redirect completes it", async () => {
  const endings: [(app: Hono) => void, number, string][] = [
    [(app) => app.post("/orders/:order/refund", guard(), (c) => c.text("no such order", 404)), 404, "failed"],
    [(app) => app.post("/orders/:order/refund", guard(), (c) => c.redirect("/done", 303)), 303, "completed"],
    [
      (app) =>
        app.post("/orders/:order/refund", guard(), () => {
          throw new HTTPException(409);
        }),
      409,
      "failed",
    ],
    [
      (app) =>
        app
          .onError((_, c) => c.text("handled", 200))
          .post("/orders/:order/refund", guard(), () => {
            throw new Error("the ledger is closed");
          }),
      200,
      "failed",
    ],
  ];
  for (const [declare, status, state] of endings) {
    token = await stand.issue(refund);
    const app = new Hono();
    declare(app);
    assert.equal((await post(app)).status, status);
    assert.equal(stateOf(token), state);
  }
});

test("what is thrown and is no Error fails the spend as well", async () => {
  const app = new Hono();
  app.post("/orders/:order/refund", guard(), () => {
    throw "a string";
  });
  await assert.rejects(
    async () => post(app),
    (thrown) => thrown === "a string",
  );
  assert.equal(stateOf(token), "failed");
});

test("a builder that states nothing refuses; one that throws answers as the app answers errors; neither spends", async () => {
  const app = new Hono();
  // @ts-expect-error an action must be stated
  const nothing = countersigned(verifier, () => undefined);
  app.post("/orders/:order/refund", nothing, () => assert.fail());
  assert.equal((await post(app)).status, 403);

  const strict = new Hono();
  strict.post("/orders/:order/refund", guard(), () => assert.fail());
  strict.onError((_, c) => c.text("a bad body", 400));
  const response = await strict.request("/orders/A-1001/refund", {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: "not json",
  });
  assert.equal(response.status, 400);
  assert.equal(stand.spends.length, 0);
});

test("a caller who is gone before the handler would run gets nothing done in their name", async () => {
  const app = new Hono();
  let ran = false;
  app.post("/orders/:order/refund", guard(), (c) => {
    ran = true;
    return c.text("refunded");
  });
  const gone = new AbortController();
  const slow = verifier.reserve;
  verifier = {
    ...verifier,
    reserve: async (...call) => {
      const reservation = await slow(...call);
      gone.abort();
      return reservation;
    },
  };
  const guarded = new Hono();
  guarded.post("/orders/:order/refund", guard(), () => assert.fail("it ran"));
  await guarded.request("/orders/A-1001/refund", {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ amount: "10000.00" }),
    signal: gone.signal,
  });
  assert.equal(ran, false);
  assert.equal(stateOf(token), "failed");
});

test("over a real connection: a caller who stays is served, one who hangs up early is not", {
  timeout: 60_000,
}, async (t) => {
  const app = new Hono();
  let runs = 0;
  let arrived = () => {};
  const reserve = verifier.reserve;
  let hold: Promise<void> | undefined;
  verifier = {
    ...verifier,
    reserve: async (...call) => {
      const reservation = await reserve(...call);
      arrived();
      await hold;
      return reservation;
    },
  };
  app.post("/orders/:order/refund", guard(), (c) => {
    runs += 1;
    return c.text("refunded");
  });
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
  t.after(() => server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders/A-1001/refund`;
  const init = () => ({
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ amount: "10000.00" }),
  });
  assert.equal((await fetch(url, init())).status, 200);
  assert.equal(stateOf(token), "completed");
  assert.equal(runs, 1);

  token = await stand.issue(refund);
  const reserved = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const closed = new Promise<void>((resolve) => {
    hold = new Promise((release) =>
      server.once("request", (incoming) =>
        incoming.socket.once("close", () => setImmediate(() => resolve(release()))),
      ),
    );
  });
  const { body, ...options } = init();
  const call = request(url, options).on("error", () => {});
  call.end(body);
  await reserved;
  call.destroy();
  await closed;
  await until(() => stateOf(token) !== "reserved");
  assert.equal(stateOf(token), "failed");
  assert.equal(runs, 1);
});

// Checked by the compiler; nothing of it runs.
export function typesHold(app: Hono<{ Bindings: { ledger: string } }>) {
  app.post(
    "/accounts/:account/refund",
    countersigned<"/accounts/:account/refund">(verifier, (c) => ({
      type: "refund",
      account: c.req.param("account"),
      ledger: c.env.ledger,
    })),
    (c) => c.text(c.get("countersign").spendId + c.env.ledger),
  );
  app.post("/refund", guard(), (c) => {
    const spent: Spent = c.get("countersign");
    // @ts-expect-error spends have no such member
    spent.approver;
    return c.text(c.var.countersign.jti);
  });
  // @ts-expect-error the middleware needs to know what the call is
  countersigned(verifier);
  // @ts-expect-error an action has a type
  countersigned(verifier, () => ({ order: "A-1001" }));
  // @ts-expect-error null states nothing
  countersigned(verifier, async () => null);
}
