import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, beforeEach, test } from "node:test";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import { audience, type StandIn, standIn, testClock, until } from "../test/stand-in.ts";
import { countersigned } from "./express.ts";
import { createVerifier, type Spent, type Verifier } from "./verifier.ts";

let stand: StandIn;
let verifier: Verifier;
let token: string;
let closers: (() => void)[] = [];
const refund = { type: "refund", order: "A-1001", amount: "10000.00" };
const quietly: ErrorRequestHandler = (error, _req, res, _next) => {
  res.status(error.status ?? 500).end();
};

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
afterEach(() => {
  for (const close of closers) close();
  closers = [];
});

const stateOf = (token: string) => stand.tokens.get(token)?.state;
const becomes = (token: string, state: string) => until(() => stateOf(token) === state);
const guard = () =>
  countersigned(verifier, (req) => ({
    type: "refund",
    order: req.params.order as string,
    amount: req.body.amount,
  }));

async function listen(app: Express): Promise<string> {
  const server = app.listen(0, "127.0.0.1");
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders/A-1001/refund`;
}
const guarded = (
  handler: RequestHandler<
    Record<string, string>,
    unknown,
    { amount: string },
    unknown,
    { countersign: Spent }
  >,
) =>
  listen(
    express()
      .use(express.json())
      .post("/orders/:order/refund", guard(), handler as RequestHandler)
      .use(quietly),
  );
const init = ({
  authorization = `Bearer ${token}`,
  amount = "10000.00" as unknown,
  body = JSON.stringify({ amount }),
} = {}) => ({
  method: "POST",
  headers: { authorization, "content-type": "application/json" },
  body,
});

test("the token is reserved before the handler runs, and completed once the response is out", async () => {
  const url = await guarded((req, res) => {
    assert.equal(stateOf(token), "reserved");
    const { action, agent, approvedBy } = res.locals.countersign;
    res.json({ action, agent, approvedBy, body: req.body });
  });
  const response = await fetch(url, init());
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    action: refund,
    agent: "refunder",
    approvedBy: ["appr_1"],
    body: { amount: "10000.00" },
  });
  await becomes(token, "completed");
});

test("T9, T17: another amount, the same token again, and no token are refused before the handler", async () => {
  let runs = 0;
  const url = await guarded((_req, res) => {
    runs += 1;
    res.end();
  });
  const changed = await fetch(url, init({ amount: "10000.01" }));
  assert.equal(changed.status, 403);
  assert.match(changed.headers.get("www-authenticate")!, /insufficient_scope.*: amount/);
  assert.equal(((await changed.json()) as { error: string }).error, "insufficient_scope");
  assert.equal(
    (await fetch(url, init({ amount: undefined }))).status,
    200,
    "the default amount is the approved one",
  );
  assert.equal((await fetch(url, init())).status, 401);
  const bare = await fetch(url, init({ authorization: "" }));
  assert.equal(bare.status, 401);
  assert.equal(bare.headers.get("www-authenticate"), `Bearer realm="${audience}"`);
  assert.equal(runs, 1);
});

test("T18: of 20 concurrent calls with one token, one reaches the handler", async () => {
  let runs = 0;
  const url = await guarded((_req, res) => {
    runs += 1;
    res.end();
  });
  const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(url, init())));
  assert.equal(runs, 1);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
});

test("a response of 400 or more, a throw and a rejection fail the spend", async () => {
  const handlers: [RequestHandler, number][] = [
    [(_req, res) => void res.status(404).end(), 404],
    [
      () => {
        throw new Error("the ledger is closed");
      },
      500,
    ],
    [() => Promise.reject(Object.assign(new Error("conflict"), { status: 409 })), 409],
  ];
  for (const [handler, status] of handlers) {
    token = await stand.issue(refund);
    assert.equal((await fetch(await guarded(handler as never), init())).status, status);
    await becomes(token, "failed");
  }
});

test("a connection that closes before the response is out: nobody knows how far the handler came, so nothing is reported", {
  timeout: 60_000,
}, async () => {
  let handling = () => {};
  const started = new Promise<void>((resolve) => {
    handling = resolve;
  });
  let closing = () => {};
  const closed = new Promise<void>((resolve) => {
    closing = resolve;
  });
  const url = await guarded((_req, res) => {
    res.once("close", closing);
    handling();
  });
  const { body, ...options } = init();
  const call = request(url, options).on("error", () => {});
  call.end(body);
  await started;
  call.destroy();
  await closed;
  await verifier.settled();
  await becomes(token, "reserved");
});

test("a caller who is gone before the handler would run gets nothing done in their name", {
  timeout: 60_000,
}, async () => {
  let release = () => {};
  let arrived = () => {};
  const reserved = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { reserve } = verifier;
  const held: Pick<Verifier, "reserve"> = {
    reserve: async (...call) => {
      const reservation = await reserve(...call);
      arrived();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return reservation;
    },
  };
  const app = express().use((_req, res, next) => {
    res.once("close", () => setImmediate(() => release()));
    next();
  });
  const build = () => refund;
  const url = await listen(
    app.post("/orders/:order/refund", countersigned(held, build), () => assert.fail("it ran")),
  );
  const { body, ...options } = init();
  const call = request(url, options).on("error", () => {});
  call.end(body);
  await reserved;
  call.destroy();
  await becomes(token, "failed");
});

test("a builder that states nothing refuses; one that throws answers as the app answers errors; neither spends", async () => {
  // @ts-expect-error an action must be stated
  const nothing = countersigned(verifier, () => undefined);
  const url = await listen(express().post("/orders/:order/refund", nothing, () => assert.fail("it ran")));
  assert.equal((await fetch(url, init())).status, 403);

  const throwing = countersigned(verifier, () => {
    throw new Error("no body");
  });
  const other = await listen(
    express()
      .post("/orders/:order/refund", throwing, () => assert.fail("it ran"))
      .use(quietly),
  );
  assert.equal((await fetch(other, init())).status, 500);
  assert.equal(stand.spends.length, 0);
});

// Checked by the compiler; nothing of it runs.
export function typesHold(app: Express) {
  app.post("/orders/:order/refund", guard(), (_req, res) => {
    const spent: Spent = res.locals.countersign;
    // @ts-expect-error spends have no such member
    spent.approver;
  });
  // @ts-expect-error the middleware needs to know what the call is
  countersigned(verifier);
  // @ts-expect-error an action has a type
  countersigned(verifier, () => ({ order: "A-1001" }));
  // @ts-expect-error null states nothing
  countersigned(verifier, async () => null);
}
