import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { middlewareRules, path } from "../test/middleware.ts";
import { countersigned } from "./fastify.ts";
import type { Spent, Verifier } from "./verifier.ts";

type Route = { Params: { order: string }; Body: { amount: string } };

middlewareRules(async ({ verifier, build, handle, tls, clientCertificate }) => {
  const options = clientCertificate && {
    clientCertificate: ({ headers }: FastifyRequest) => clientCertificate((name) => headers[name] as string),
  };
  const app = fastify({
    serverFactory: (handler) => (tls ? createTlsServer(tls, handler) : createServer(handler)),
  });
  const preHandler = countersigned<FastifyRequest<Route>>(
    verifier,
    ({ params, body }) => build(params.order, body),
    options,
  );
  app.post<Route>(path, { preHandler }, async (request, reply) => {
    const { status, location, body } = await handle(request.countersign, request.body);
    reply.code(status);
    if (location !== undefined) reply.header("location", location);
    return reply.send(body ?? {});
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  return { server: app.server, close: () => app.close() };
}, "when the response is sent");

// Type checks only: this code does not run.
export function typesHold(app: FastifyInstance, verifier: Verifier) {
  const build = ({ params }: FastifyRequest<Route>) => ({ type: "refund", order: params.order });
  app.post<Route>(path, { preHandler: countersigned(verifier, build) }, async (request) => {
    const spent: Spent = request.countersign;
    // @ts-expect-error Spent has no such member
    spent.approver;
  });
  // @ts-expect-error the hook requires a builder
  countersigned(verifier);
  // @ts-expect-error an action requires a type
  countersigned(verifier, () => ({ order: "A-1001" }));
  // @ts-expect-error undefined is not an action
  countersigned(verifier, () => undefined);
  // @ts-expect-error null is not an action
  countersigned(verifier, async () => null);
}
