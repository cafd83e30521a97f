/**
 * The API of the deployer, with Node.js only. It promotes a rollout if the owner of the service approved exactly that promotion.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { type Action, createVerifier } from "@countersign/verifier";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  PORT: port,
} = process.env;

const verifier = createVerifier({ issuer, audience: "https://rollouts.example", clientId, clientSecret });

async function handleRequest(request: IncomingMessage, respond: Respond) {
  const rollout = /^\/rollouts\/([\w-]+)\/promotion$/.exec(request.url ?? "")?.[1];
  if (request.method === "GET") return respond(200, promoted);
  if (request.method !== "POST" || rollout === undefined) return respond(404, { error: "not_found" });

  // #region spend
  const spend = await verifier.spend(
    request.headers.authorization,
    async () => {
      const { service, environment, weight } = await read(request);
      return { type: "promote_rollout", service, rollout, environment, weight };
    },
    ({ action }) => promote(action),
  );
  if (spend.outcome === "rejected") return respond(spend.status, spend.body, spend.headers);
  return respond(200, spend.result);
  // #endregion
}

type Respond = (status: number, body: unknown, headers?: Readonly<Record<string, string>>) => void;

async function read(request: IncomingMessage) {
  return (await json(request)) as { service: string; environment: string; weight: number };
}

const promoted: object[] = [];

/** A real deployer would configure the load balancer here. */
function promote({ type: _, ...rest }: Action) {
  promoted.push(rest);
  return rest;
}

const server = createServer((request, response) => {
  const respond: Respond = (status, body, headers) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  handleRequest(request, respond).catch((error) =>
    respond(error instanceof SyntaxError ? 400 : 500, { error: "fault" }),
  );
});
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`the deployer listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
