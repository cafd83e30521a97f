/**
 * Tests of the middleware that apply to every framework, over real connections. The test file of a framework defines how
 * the route is served, and tests what is specific to the framework.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type Server as HttpServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import {
  type Certificate,
  createCertificateAuthority,
  createSelfSigned,
} from "@countersign/testing/server/certificate";
import { createProofKey } from "@countersign/testing/server/dpop-key";
import {
  type Action,
  type ClientCertificate,
  createVerifier,
  type Spent,
  type Verifier,
} from "@countersign/verifier";
import { audience, challenge, type StandIn, standIn, testClock, until } from "./stand-in.ts";

export const refund = { type: "refund", order: "A-1001", amount: "10000.00" };
/** The path of the guarded route, with the order as a parameter. */
export const path = "/orders/:order/refund";

export type Answer = { readonly status: number; readonly location?: string; readonly body?: unknown };
export type Served = {
  readonly verifier: Pick<Verifier, "reserve">;
  /** Builds the action from the parsed request. */
  readonly build: (order: string, body: { readonly amount: string }) => Action;
  readonly handle: (spent: Spent, body: unknown) => Answer | Promise<Answer>;
  readonly tls?: ServerOptions;
  /** Reads the client certificate from a header instead of the connection. */
  readonly clientCertificate?: (
    header: (name: string) => string | undefined,
  ) => ClientCertificate | undefined;
};
/** Serves the route on a free port of this machine. */
export type Serve = (
  served: Served,
) => Promise<{ readonly server: HttpServer; readonly close: () => unknown }>;

const build: Served["build"] = (order, { amount }) => ({ type: "refund", order, amount });

export function middlewareRules(
  serve: Serve,
  completedWhen: "when the response is sent" | "when the handler returns",
) {
  let stand: StandIn;
  let verifier: Verifier;
  let token: string;

  before(async () => {
    stand = await standIn();
  });
  after(() => stand.close());
  beforeEach(async () => {
    const { issuer } = stand;
    verifier = createVerifier({
      issuer,
      audience,
      clientId: "payments",
      clientSecret: "s3cret",
      clock: testClock(),
    });
    token = await stand.issue(refund);
  });
  const stateOf = (token: string) => stand.tokens.get(token)?.state;
  const becomes = (token: string, state: string) => until(() => stateOf(token) === state);

  async function listen(t: TestContext, served: Partial<Served>) {
    const handle = () => ({ status: 200, body: "refunded" });
    const { server, close } = await serve({ verifier, build, handle, ...served });
    t.after(() => {
      server.closeAllConnections();
      return close();
    });
    const { port } = server.address() as AddressInfo;
    const url = `${served.tls ? "https" : "http"}://127.0.0.1:${port}/orders/A-1001/refund`;
    return { server, url };
  }
  const init = ({
    authorization = `Bearer ${token}`,
    amount = "10000.00" as unknown,
    headers = {},
  } = {}) => ({
    method: "POST",
    headers: { "content-type": "application/json", ...(authorization && { authorization }), ...headers },
    body: JSON.stringify({ amount }),
    redirect: "manual" as const,
  });

  test("reserves the token before the handler and completes it afterwards; both read the body", async (t) => {
    const { url } = await listen(t, {
      handle: ({ action, agent, approvedBy }, body) => {
        assert.equal(stateOf(token), "reserved");
        return { status: 200, body: { action, agent, approvedBy, body } };
      },
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

  test("rejects another amount, the same token again, and no token before the handler (T9, T17)", async (t) => {
    let runs = 0;
    const { url } = await listen(t, {
      handle: () => {
        runs += 1;
        return { status: 200 };
      },
    });
    const changed = await fetch(url, init({ amount: "10000.01" }));
    assert.equal(changed.status, 403);
    assert.match(changed.headers.get("www-authenticate")!, /insufficient_scope.*: amount/);
    assert.deepEqual(await changed.json(), {
      error: "insufficient_scope",
      error_description: "The call is not the action that was approved: amount",
    });
    assert.equal(runs, 0);
    assert.equal((await fetch(url, init())).status, 200);
    const again = await fetch(url, init());
    assert.equal(again.status, 401);
    assert.match(again.headers.get("www-authenticate")!, /invalid_token.*has been used/);
    const bare = await fetch(url, init({ authorization: "" }));
    assert.deepEqual([bare.status, bare.headers.get("www-authenticate")], [401, challenge]);
    assert.equal(runs, 1);
  });

  test("passes one of 20 concurrent calls with one token to the handler (T18)", async (t) => {
    let runs = 0;
    const { url } = await listen(t, {
      handle: () => {
        runs += 1;
        return { status: 200 };
      },
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(url, init())));
    assert.equal(runs, 1);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
  });

  test("fails the spend on a status from 400 or a thrown error; a redirect completes it", async (t) => {
    const endings: [Served["handle"], number, string][] = [
      [() => ({ status: 404 }), 404, "failed"],
      [() => ({ status: 303, location: "/done" }), 303, "completed"],
      [
        () => {
          throw new Error("the ledger is closed");
        },
        500,
        "failed",
      ],
      [() => Promise.reject(new Error("the ledger is closed")), 500, "failed"],
    ];
    for (const [handle, status, state] of endings) {
      token = await stand.issue(refund);
      const { url } = await listen(t, { handle });
      assert.equal((await fetch(url, init())).status, status);
      await becomes(token, state);
    }
  });

  test("spends nothing if the builder returns undefined (403) or throws (500)", async (t) => {
    const handle = () => assert.fail("it ran");
    const nothing = await listen(t, { handle, build: () => undefined as never });
    assert.equal((await fetch(nothing.url, init())).status, 403);
    const throwing = await listen(t, {
      handle,
      build: () => {
        throw new Error("no such order");
      },
    });
    assert.equal((await fetch(throwing.url, init())).status, 500);
    const { url } = await listen(t, { handle });
    assert.ok((await fetch(url, { ...init(), body: "not json" })).status >= 400);
    assert.equal(stateOf(token), "issued");
  });

  test("does not run the handler if the caller disconnected before", {
    timeout: 60_000,
  }, async (t) => {
    let release = () => {};
    let arrived = () => {};
    const reserved = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const { reserve } = verifier;
    const held: Pick<Verifier, "reserve"> = {
      reserve: async (...call) => {
        const reservation = await reserve(...call);
        const released = new Promise<void>((resolve) => {
          release = resolve;
        });
        arrived();
        await released;
        return reservation;
      },
    };
    const { server, url } = await listen(t, { verifier: held, handle: () => assert.fail("it ran") });
    server.once("request", ({ socket }) => socket.once("close", () => setImmediate(() => release())));
    const { body, method, headers } = init();
    const call = httpRequest(url, { method, headers }).on("error", () => {});
    call.end(body);
    await reserved;
    call.destroy();
    await becomes(token, "failed");
  });

  test(`completes the spend ${completedWhen}, also if the caller disconnected`, {
    timeout: 60_000,
  }, async (t) => {
    let handling = () => {};
    const started = new Promise<void>((resolve) => {
      handling = resolve;
    });
    let close = () => {};
    const closed = new Promise<void>((resolve) => {
      close = () => setImmediate(resolve);
    });
    let ended = () => {};
    const done = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const { server, url } = await listen(t, {
      handle: async () => {
        handling();
        await closed;
        ended();
        return { status: 200 };
      },
    });
    server.once("request", ({ socket }) => socket.once("close", close));
    const { body, method, headers } = init();
    const call = httpRequest(url, { method, headers }).on("error", () => {});
    call.end(body);
    await started;
    call.destroy();
    await done;
    // A response that was not sent is never reported, so the token stays reserved.
    if (completedWhen === "when the handler returns") return await becomes(token, "completed");
    await new Promise((resolve) => setImmediate(resolve));
    await verifier.settled();
    assert.equal(stateOf(token), "reserved");
  });

  test("requires a proof for this URL for a token bound to a key", async (t) => {
    const { url } = await listen(t, {});
    const key = await createProofKey();
    token = await stand.issue(refund, { cnf: { jkt: key.jkt } });
    const { now } = testClock();
    const proof = (htu: string) => key.prove({ htu, now: now(), token });
    const bearer = await fetch(url, init());
    assert.equal(bearer.status, 401);
    assert.match(bearer.headers.get("www-authenticate") ?? "", /^DPoP .*error="invalid_token"/);
    const authorization = `DPoP ${token}`;
    const refused = [
      {},
      { dpop: await proof(url.replace("A-1001", "A-1002")) },
      { dpop: `${await proof(url)}, ${await proof(url)}` },
    ];
    for (const headers of refused) {
      const response = await fetch(url, init({ authorization, headers }));
      assert.equal(response.status, 401);
      assert.match(response.headers.get("www-authenticate") ?? "", /^DPoP .*error="invalid_dpop_proof"/);
    }
    assert.equal(stateOf(token), "issued");
    const request = init({ authorization, headers: { dpop: await proof(url) } });
    assert.equal((await fetch(`${url}?fast=1`, request)).status, 200);
    await becomes(token, "completed");
  });

  test("requires the certificate of the connection for a token bound to it", async (t) => {
    const authority = await createCertificateAuthority();
    const [own, ours, theirs] = await Promise.all([
      authority.issueForServer("localhost"),
      createSelfSigned("CN=agent-1"),
      createSelfSigned("CN=agent-1"),
    ]);
    const tls = { key: own.key, cert: own.certificate, requestCert: true, rejectUnauthorized: false };
    const { url } = await listen(t, { tls });
    token = await stand.issue(refund, { cnf: { "x5t#S256": ours.thumbprint } });
    const { body, method, headers } = init();
    const over = (client?: Certificate) =>
      callTls(url, { method, headers, body, ca: authority.ca, cert: client?.certificate, key: client?.key });
    for (const client of [undefined, theirs]) {
      const refused = await over(client);
      assert.equal(refused.status, 401);
      assert.match(refused.headers["www-authenticate"] ?? "", /^Bearer .*error="invalid_token"/);
    }
    assert.equal(stateOf(token), "issued");
    assert.equal((await over(ours)).status, 200);
    await becomes(token, "completed");

    token = await stand.issue(refund, { cnf: { "x5t#S256": ours.thumbprint } });
    const behindProxy = await listen(t, { clientCertificate: (header) => header("x-client-cert") });
    assert.equal((await fetch(behindProxy.url, init())).status, 401);
    const passedOn = { "x-client-cert": encodeURIComponent(ours.certificate) };
    assert.equal((await fetch(behindProxy.url, init({ headers: passedOn }))).status, 200);
    await becomes(token, "completed");
  });
}

type Call = {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly ca: string;
  readonly cert: string | undefined;
  readonly key: string | undefined;
};

async function callTls(url: string, { body, ...options }: Call) {
  const call = httpsRequest(url, { ...options, agent: false });
  call.end(body);
  const [response] = await once(call, "response");
  response.resume();
  await once(response, "end");
  return { status: response.statusCode as number, headers: response.headers as IncomingHttpHeaders };
}
