import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import express, { type ErrorRequestHandler, type Express } from "express";
import { middlewareRules, path } from "../test/middleware.ts";
import { countersigned } from "./express.ts";
import type { Spent, Verifier } from "./verifier.ts";

const quietly: ErrorRequestHandler = (error, _req, res, _next) => {
  res.status(error.status ?? 500).end();
};

middlewareRules(async ({ verifier, build, handle, tls, clientCertificate }) => {
  const options = clientCertificate && {
    clientCertificate: (req: express.Request) => clientCertificate((name) => req.get(name)),
  };
  const guard = countersigned(verifier, (req) => build(String(req.params.order), req.body), options);
  const app = express().use(express.json());
  app.post(path, guard, async (req, res) => {
    const { status, location, body } = await handle(res.locals.countersign, req.body);
    res.status(status);
    if (location !== undefined) res.location(location);
    res.json(body ?? null);
  });
  app.use(quietly);
  const server = tls ? createTlsServer(tls, app) : createServer(app);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { server, close: () => server.close() };
}, "when the response is sent");

// Type checks only: this code does not run.
export function typesHold(app: Express, verifier: Verifier) {
  const build = (req: express.Request) => ({ type: "refund", order: req.params.order as string });
  app.post("/orders/:order/refund", countersigned(verifier, build), (_req, res) => {
    const spent: Spent = res.locals.countersign;
    // @ts-expect-error Spent has no such member
    spent.approver;
  });
  // @ts-expect-error the middleware requires a builder
  countersigned(verifier);
  // @ts-expect-error an action requires a type
  countersigned(verifier, () => ({ order: "A-1001" }));
  // @ts-expect-error undefined is not an action
  countersigned(verifier, () => undefined);
  // @ts-expect-error null is not an action
  countersigned(verifier, async () => null);
}
