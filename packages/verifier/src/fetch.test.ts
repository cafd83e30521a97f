import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import { createServer } from "node:https";
import { describe, test } from "node:test";
import { serve } from "@hono/node-server";
import { middlewareRules } from "../test/middleware.ts";
import { audience, standIn, testClock } from "../test/stand-in.ts";
import { countersigned } from "./fetch.ts";
import { createVerifier, type Spent, type Verifier } from "./verifier.ts";

/** The second argument that the server passes to its handlers: the connection. */
type Info = { readonly incoming: { readonly socket: object } };

middlewareRules(async ({ verifier, build, handle, tls, clientCertificate }) => {
  const handler = countersigned(
    verifier,
    async (request, _info: Info) =>
      build(new URL(request.url).pathname.split("/")[2] ?? "", await request.json()),
    async (request, spent, _info) => {
      const { status, location, body } = await handle(spent, await request.json());
      return Response.json(body ?? null, { status, headers: location === undefined ? {} : { location } });
    },
    {
      clientCertificate: ({ headers }, { incoming }) => {
        if (clientCertificate) return clientCertificate((name) => headers.get(name) ?? undefined);
        const socket = incoming.socket as { getPeerCertificate?: () => { raw?: Uint8Array } };
        return socket.getPeerCertificate?.().raw;
      },
    },
  );
  const quietly = (request: Request, info: unknown) =>
    handler(request, info as Info).catch(() => new Response(null, { status: 500 }));
  const listener = tls && { createServer, serverOptions: tls };
  const server = serve({ fetch: quietly, port: 0, hostname: "127.0.0.1", ...listener }) as Server;
  await once(server, "listening");
  return { server, close: () => server.close() };
}, "when the handler returns");

describe("fetch middleware", () => {
  test("passes the server's further arguments to builder and handler, as in a Next.js route", async () => {
    const stand = await standIn();
    const { issuer } = stand;
    const verifier = createVerifier({
      issuer,
      audience,
      clientId: "a",
      clientSecret: "b",
      clock: testClock(),
    });
    type Context = { params: Promise<{ order: string }> };
    const POST = countersigned(
      verifier,
      async (_request, { params }: Context) => ({ type: "refund", order: (await params).order }),
      async (_request, { action }, { params }) => Response.json({ action, order: (await params).order }),
    );
    const token = await stand.issue({ type: "refund", order: "A-7" });
    const request = new Request("http://localhost/orders/A-7", {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
    });
    const response = await POST(request, { params: Promise.resolve({ order: "A-7" }) });
    assert.deepEqual(await response.json(), { action: { type: "refund", order: "A-7" }, order: "A-7" });
    await stand.close();
  });
});

// Type checks only: this code does not run.
export function typesHold(verifier: Verifier) {
  const done = () => new Response();
  const served: (request: Request) => Promise<Response> = countersigned(
    verifier,
    async (request) => ({ type: "refund", order: (await request.json()).order }),
    (_request, spent) => {
      const known: Spent = spent;
      // @ts-expect-error Spent has no such member
      known.approver;
      return done();
    },
  );
  // @ts-expect-error the wrapper requires a builder
  countersigned(verifier, done);
  // @ts-expect-error an action requires a type
  countersigned(verifier, () => ({ order: "A-1001" }), done);
  // @ts-expect-error undefined is not an action
  countersigned(verifier, () => undefined, done);
  // @ts-expect-error null is not an action
  countersigned(verifier, async () => null, done);
  return served;
}
