import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  type Certificate,
  createCertificateAuthority,
  createSelfSigned,
} from "@countersign/testing/server/certificate";
import { metadataOf } from "../test/stand-in.ts";
import { createAgent } from "./agent.ts";
import { mtlsFetch } from "./mtls.ts";

let server: Server;
let base: string;
let ca: string;
let client: Certificate;
type Seen = { peer: string; method?: string; url?: string; type?: string; body: string };
const seen: Seen[] = [];

before(async () => {
  const authority = await createCertificateAuthority();
  ca = authority.ca;
  client = await authority.issueForClient("CN=agent-1");
  const { certificate: cert, key } = await authority.issueForServer("localhost");
  const options = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
  server = createServer(options, async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const peer = (request.socket as TLSSocket).getPeerX509Certificate()?.subject ?? "none";
    const { method, url } = request;
    seen.push({ peer, method, url, type: request.headers["content-type"], body });
    if (url === "/never") return;
    if (url === "/broken") {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => request.socket.destroy());
      return;
    }
    if (url === "/moved") return void response.writeHead(302, { location: "/" }).end();
    if (url === "/empty") return void response.writeHead(204).end();
    const answer = url?.endsWith("/openid-configuration")
      ? { ...metadataOf(base), mtls_endpoint_aliases: { token_endpoint: `${base}/mtls/token` } }
      : url === "/mtls/token"
        ? { error: "access_denied" }
        : { auth_req_id: "req-1", expires_in: 120, interval: 5 };
    const status = url === "/mtls/token" ? 400 : 200;
    response.writeHead(
      status,
      [
        ["content-type", "application/json"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ].flat(),
    );
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `https://localhost:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const fetchAs = ({ certificate: cert, key }: Certificate) => mtlsFetch({ cert, key, ca });

describe("mtlsFetch", () => {
  test("presents the certificate at every endpoint, without a secret", async () => {
    const agent = createAgent(
      { issuer: base, clientId: "refunder" },
      { clientAuthentication: "tls_client_auth", fetch: fetchAs(client) },
    );
    const asked = await agent.ask({ action: { type: "refund" }, approver: "owner" });
    assert(asked.outcome === "asked");
    assert.deepEqual(await agent.wait(asked.ask), { outcome: "denied" });
    assert.deepEqual(
      seen.map(({ peer, url }) => `${peer} ${url}`),
      ["CN=agent-1 /.well-known/openid-configuration", "CN=agent-1 /bc-authorize", "CN=agent-1 /mtls/token"],
    );
    const redemption = new URLSearchParams(seen[2]!.body);
    assert.equal(redemption.get("client_id"), "refunder");
    assert.match(seen[2]!.type!, /^application\/x-www-form-urlencoded/);
  });

  test("accepts a self-signed certificate, and bytes as well as text", async () => {
    const own = await createSelfSigned("CN=self");
    seen.length = 0;
    await fetchAs(own)(`${base}/empty`);
    const bytes = (text: string) => new TextEncoder().encode(text);
    await mtlsFetch({ cert: bytes(own.certificate), key: bytes(own.key), ca: bytes(ca) })(`${base}/empty`);
    assert.deepEqual(
      seen.map(({ peer }) => peer),
      ["CN=self", "CN=self"],
    );
  });

  test("returns status, headers and body like fetch, without redirects; no body for 204", async () => {
    const get = fetchAs(client);
    const answer = await get(new URL(`${base}/ask`), { method: "PUT", body: "Ä", headers: { "x-one": "1" } });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.equal((await answer.json()).auth_req_id, "req-1");
    const { peer, ...put } = seen.at(-1)!;
    assert.deepEqual(put, { method: "PUT", url: "/ask", type: "text/plain;charset=UTF-8", body: "Ä" });
    assert.equal((await get(`${base}/moved`)).headers.get("location"), "/");
    const empty = await get(`${base}/empty`);
    assert.deepEqual([empty.status, await empty.text()], [204, ""]);
  });

  test("rejects like fetch: on abort, for a lost connection, for an untrusted certificate", async () => {
    const reason = new Error("enough");
    const abort = new AbortController();
    const waiting = fetchAs(client)(`${base}/never`, { signal: abort.signal });
    setImmediate(() => abort.abort(reason));
    await assert.rejects(waiting, reason);
    await assert.rejects(fetchAs(client)(`${base}/never`, { signal: AbortSignal.abort(reason) }), reason);
    await assert.rejects(fetchAs(client)(`${base}/broken`), { code: "ECONNRESET" });
    const { certificate: cert, key } = client;
    await assert.rejects(mtlsFetch({ cert, key })(`${base}/empty`), /certificate/);
    await assert.rejects(fetchAs(client)("http://localhost/"), /over https: only/);
  });
});
