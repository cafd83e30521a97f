import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import { createServer } from "node:https";
import { after, before, beforeEach, describe, test } from "node:test";
import { serve } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { middlewareRules, path, refund } from "../test/middleware.ts";
import { audience, type StandIn, standIn, testClock } from "../test/stand-in.ts";
import { countersigned } from "./hono.ts";
import { createVerifier, type Spent, type Verifier } from "./verifier.ts";

middlewareRules(async ({ verifier, build, handle, tls, clientCertificate }) => {
  const options = clientCertificate && {
    clientCertificate: (c: Context) => clientCertificate((name) => c.req.header(name)),
  };
  const app = new Hono();
  const guard = countersigned<typeof path>(
    verifier,
    async (c) => build(c.req.param("order"), await c.req.json()),
    options,
  );
  app.post(path, guard, async (c) => {
    const { status, location, body } = await handle(c.get("countersign"), await c.req.json());
    return c.json((body ?? null) as object, status as 200, location === undefined ? {} : { location });
  });
  app.onError((_, c) => c.body(null, 500));
  const listener = tls && { createServer, serverOptions: tls };
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1", ...listener }) as Server;
  await once(server, "listening");
  return { server, close: () => server.close() };
}, "when the handler returns");

let stand: StandIn;
let verifier: Verifier;
let token: string;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  const { issuer } = stand;
  verifier = createVerifier({ issuer, audience, clientId: "a", clientSecret: "b", clock: testClock() });
  token = await stand.issue(refund);
});
const post = (app: Hono, signal?: AbortSignal) =>
  app.request("/refund", {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    ...(signal && { signal }),
  });

describe("hono middleware", () => {
  test("fails the spend for an error that the app handles, whatever the response", async () => {
    const endings: [Error, number][] = [
      [new HTTPException(409), 409],
      [new Error("the ledger is closed"), 200],
    ];
    for (const [thrown, status] of endings) {
      token = await stand.issue(refund);
      const app = new Hono();
      app.onError((error, c) =>
        error instanceof HTTPException ? error.getResponse() : c.text("handled", 200),
      );
      app.post(
        "/refund",
        countersigned(verifier, () => refund),
        () => {
          throw thrown;
        },
      );
      assert.equal((await post(app)).status, status);
      assert.equal(stand.tokens.get(token)?.state, "failed");
    }
  });

  test("fails the spend for a thrown value that is not an Error", async () => {
    const app = new Hono();
    app.post(
      "/refund",
      countersigned(verifier, () => refund),
      () => {
        throw "a string";
      },
    );
    await assert.rejects(
      async () => post(app),
      (thrown) => thrown === "a string",
    );
    assert.equal(stand.tokens.get(token)?.state, "failed");
  });
});

// Type checks only: this code does not run.
export function typesHold(app: Hono<{ Bindings: { ledger: string } }>, verifier: Verifier) {
  app.post(
    "/accounts/:account/refund",
    countersigned<"/accounts/:account/refund">(verifier, (c) => ({
      type: "refund",
      account: c.req.param("account"),
      ledger: c.env.ledger,
    })),
    (c) => c.text(c.get("countersign").spendId + c.env.ledger),
  );
  app.post(
    "/refund",
    countersigned(verifier, () => refund),
    (c) => {
      const spent: Spent = c.get("countersign");
      // @ts-expect-error Spent has no such member
      spent.approver;
      return c.text(c.var.countersign.jti);
    },
  );
  // @ts-expect-error the middleware requires a builder
  countersigned(verifier);
  // @ts-expect-error an action requires a type
  countersigned(verifier, () => ({ order: "A-1001" }));
  // @ts-expect-error undefined is not an action
  countersigned(verifier, () => undefined);
  // @ts-expect-error null is not an action
  countersigned(verifier, async () => null);
}
