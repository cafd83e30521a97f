/**
 * The API of a server under test, protected by the verifier. `GET /<scope>` checks the token against the scope's action and does
 * not spend it, because suites call it several times with one token; `POST /refunds` performs a refund once. It requests a client
 * certificate if the server does.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { CertificateAuthority } from "@countersign/testing/server/certificate";
import { createTlsFetch } from "@countersign/testing/server/tls-fetch";
import type { Config } from "../packages/server/src/config/config.ts";
import { tlsDefaults } from "../packages/server/src/http/transport/tls.ts";
import { callOf } from "../packages/verifier/src/node-http.ts";
import { createVerifier, type Verifier } from "../packages/verifier/src/verifier.ts";
import type { ApiCredentials } from "./harness.ts";

export type Resource = {
  /** Base URL of `/<scope>` and `/refunds`. */
  readonly url: string;
  readonly close: () => Promise<void>;
};

export type ResourceDeps = {
  readonly config: Config;
  readonly apis: ReadonlyMap<string, ApiCredentials>;
  readonly ca: string | undefined;
  readonly certificates: CertificateAuthority | undefined;
};

export async function openResource(deps: ResourceDeps): Promise<Resource> {
  const verifiers = new Map<string, Verifier>();
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    handleRequest(deps.config, verifiers, request)
      .catch(() => ({ status: 500, headers: {}, body: { error: "server_error" } }))
      .then((result) => send(request, response, result));
  };
  const listener = deps.certificates
    ? createHttpsServer(await createTlsOptions(deps.certificates), handle)
    : createHttpServer(handle);
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const url = `${deps.certificates ? "https" : "http"}://localhost:${port}`;
  for (const [name, api] of deps.apis) verifiers.set(name, createApiVerifier(deps, name, api, url));
  return {
    url,
    close: async () => {
      listener.closeAllConnections();
      listener.close();
      await once(listener, "close");
      await Promise.all([...verifiers.values()].map((verifier) => verifier.settled()));
    },
  };
}

/** Requests a client certificate and accepts any; the token's binding decides. */
async function createTlsOptions(certificates: CertificateAuthority) {
  const { certificate, key } = await certificates.issueForServer("localhost");
  return { ...tlsDefaults, cert: certificate, key, requestCert: true, rejectUnauthorized: false };
}

function createApiVerifier(
  { config, ca }: ResourceDeps,
  name: string,
  { id, secret }: ApiCredentials,
  url: string,
): Verifier {
  return createVerifier({
    issuer: config.issuer,
    audience: config.apis.get(name)!.audience,
    clientId: id,
    clientSecret: secret,
    baseUrl: url,
    // The API requires nonces if the server does.
    requireProofNonce: config.dpop.requireNonce,
    ...(ca !== undefined && { fetch: createTlsFetch({ ca }) as typeof fetch }),
  });
}

type ResourceResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
};

async function handleRequest(
  config: Config,
  verifiers: ReadonlyMap<string, Verifier>,
  request: IncomingMessage,
): Promise<ResourceResponse> {
  const { method, url = "/" } = request;
  const path = decodeURIComponent(new URL(url, "http://resource").pathname.slice(1));
  const call = callOf(request, new URL(url, "http://resource").href);
  if (method === "POST" && path === "refunds") {
    const body = await readJsonBody(request);
    const { order, amount, currency } = (body ?? {}) as Record<string, string>;
    const action = { type: "refund", order: order ?? "", amount: amount ?? "", currency: currency ?? "" };
    const spent = await verifiers.get("refunds")!.spend(call, action, () => ({ refunded: order }));
    return spent.outcome === "rejected" ? spent : { status: 200, headers: {}, body: spent.result };
  }
  const action = config.actions.get(path);
  const api = [...config.apis].find(([, { audience }]) => audience === action?.definition.audience)?.[0];
  if (method !== "GET" || action?.scope === undefined || api === undefined)
    return { status: 404, headers: {}, body: { error: "not_found" } };
  const checked = await verifiers.get(api)!.check(call, { type: path });
  if (checked.outcome === "rejected") return checked;
  return { status: 200, headers: {}, body: { action: path, approved_by: checked.approvedBy } };
}

async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Response headers of FAPI 1.0 Baseline §6.2.1: JSON, the date (sent by Node), and the caller's interaction id. */
function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: ResourceResponse,
): void {
  const interaction = request.headers["x-fapi-interaction-id"] ?? randomUUID();
  response.writeHead(status, {
    "content-type": "application/json",
    "x-fapi-interaction-id": interaction,
    ...headers,
  });
  response.end(JSON.stringify(body));
}
