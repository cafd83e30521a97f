/** What is posted over a socket comes to its endpoint without a `Request`: it is read as strictly, and answered the same. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  issuer,
  readHiddenFields,
  refund,
  toBasicAuth,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { type Listener, listen } from "../../src/http/transport/listener.ts";
import { fromIncomingMessage, type ProtocolRequest } from "../../src/http/transport/protocol-request.ts";

const host = "127.0.0.1";
after(async () => {
  await listener?.close(0);
});
const deployment = useDeployment();
let agent: { readonly id: string; readonly secret: string };
let listener: Listener | undefined;
beforeTests(async () => {
  agent = await deployment.registerAgent("desk");
  const opened = await listen({ listen: { host, port: 0 } }, deployment.server.apps, (fault) =>
    deployment.faults.push(fault),
  );
  assert.ok(!("refused" in opened));
  listener = opened;
});

const port = () => listener!.addresses[0]!.port;

async function open(): Promise<Socket> {
  const socket = connect({ host, port: port() });
  await once(socket, "connect");
  return socket;
}

/** All that comes until the other side closes. */
async function heard(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

const form = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
const head = (path: string, lines: readonly string[]) =>
  [`POST ${path} HTTP/1.1`, "host: localhost", ...lines, "", ""].join("\r\n");
const formed = "content-type: application/x-www-form-urlencoded";
const authorized = () => `authorization: ${toBasicAuth(agent).authorization}`;

async function say(...parts: readonly string[]): Promise<string> {
  const socket = await open();
  for (const part of parts) {
    socket.write(part);
    await new Promise(setImmediate);
  }
  return await heard(socket);
}

describe("protocol endpoints over a socket", () => {
  test("handle a request, a poll, a decision and the redemption", async () => {
    const post = (path: string, fields: Record<string, string>, headers: Record<string, string>) =>
      fetch(`http://${host}:${port()}${path}`, {
        method: "POST",
        headers,
        body: new URLSearchParams(fields),
        redirect: "manual",
      });
    const details = JSON.stringify([{ ...refund, order: "over a socket" }]);
    const ask = { scope: "openid", login_hint: "ada@example.com", authorization_details: details };
    const asked = await post("/bc-authorize", ask, toBasicAuth(agent));
    assert.equal(asked.status, 200);
    const { auth_req_id } = await asked.json();
    const poll = { grant_type: cibaGrantType, auth_req_id };
    const pending = await post("/oauth/token", poll, toBasicAuth(agent));
    assert.deepEqual([pending.status, (await pending.json()).error], [400, "authorization_pending"]);
    assert.equal(pending.headers.get("cache-control"), "no-store");
    assert.equal(pending.headers.get("x-content-type-options"), "nosniff");
    const id = toRequestId(auth_req_id);
    const { csrf, card } = readHiddenFields(await (await deployment.ada.get(`/requests/${id}`)).text());
    const decision = { csrf: csrf!, card: card!, verdict: "approve" };
    const strange = await post(`/requests/${id}/decision`, decision, { cookie: deployment.ada.cookie });
    assert.equal(strange.status, 403, "without an origin of ours it decides nothing");
    const decided = await post(`/requests/${id}/decision`, decision, {
      cookie: deployment.ada.cookie,
      origin: issuer,
    });
    assert.deepEqual([decided.status, decided.headers.get("location")], [303, `/requests/${id}`]);
    assert.equal(
      decided.headers.get("content-security-policy"),
      (await deployment.ada.get(`/requests/${id}`)).headers.get("content-security-policy"),
    );
    const token = await post("/oauth/token", poll, toBasicAuth(agent));
    assert.equal(token.status, 200);
    assert.equal((await token.json()).token_type, "Bearer");
  });

  test("read a body in pieces, and one without content-length", async () => {
    const body = form({ grant_type: cibaGrantType, auth_req_id: "nobody's" });
    const close = "connection: close";
    const counted = head("/oauth/token", [formed, authorized(), close, `content-length: ${body.length}`]);
    assert.match(await say(counted, body.slice(0, 9), body.slice(9)), /^HTTP\/1\.1 400 .*"invalid_grant"/s);
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
    const chunked = head("/oauth/token", [formed, authorized(), close, "transfer-encoding: chunked"]);
    const pieces = [chunk(body.slice(0, 9)), chunk(body.slice(9)), "0\r\n\r\n"];
    assert.match(await say(chunked, ...pieces), /^HTTP\/1\.1 400 .*"invalid_grant"/s);
  });

  test("respond in order to two requests on one connection", async () => {
    const poll = (id: string, connection: string) => {
      const body = form({ grant_type: id, auth_req_id: "nobody's" });
      const lines = [formed, authorized(), `connection: ${connection}`, `content-length: ${body.length}`];
      return head("/oauth/token", lines) + body;
    };
    const answers = await say(poll(cibaGrantType, "keep-alive") + poll("another", "close"));
    assert.deepEqual(answers.match(/"error":"\w+"/g), [
      '"error":"invalid_grant"',
      '"error":"unsupported_grant_type"',
    ]);
  });

  test("reject a body over the limit before it was sent, and close the connection (T52)", async () => {
    const endless = "x=".padEnd(66_000, "y");
    const declared = head("/oauth/token", [formed, "content-length: 10000000"]);
    const answer = await say(declared + endless, endless, endless);
    assert.match(answer, /^HTTP\/1\.1 413 .*connection: close.*"invalid_request"/is);
  });

  test("report no fault if the client disconnects during the body or the response", async () => {
    for (const rest of ["", "grant_type=x"]) {
      const socket = await open();
      socket.write(head("/oauth/token", [formed, "content-length: 100"]) + rest);
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.resetAndDestroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(deployment.faults, []);
  });

  test("abort the signal if the client disconnected before the signal was read", async (t) => {
    const gone = Promise.withResolvers<ProtocolRequest>();
    const server = createServer((incoming, outgoing) => {
      const call = fromIncomingMessage(incoming, outgoing);
      outgoing.once("close", () => gone.resolve(call));
    });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    t.after(() => server.close());
    const socket = connect({ host, port: (server.address() as AddressInfo).port });
    await once(socket, "connect");
    socket.write(head("/oauth/token", ["content-length: 0"]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.resetAndDestroy();
    assert.equal((await gone.promise).signal().aborted, true);
  });

  test("reject duplicate Authorization and Content-Type headers (T62)", async () => {
    const body = form({ grant_type: cibaGrantType, auth_req_id: "nobody's" });
    const lines = [formed, "connection: close", `content-length: ${body.length}`];
    const twice = head("/oauth/token", [...lines, authorized(), authorized()]);
    assert.match(await say(twice, body), /^HTTP\/1\.1 401 .*"invalid_client"/s);
    const typed = head("/oauth/token", [...lines, authorized(), "content-type: text/plain"]);
    assert.match(await say(typed, body), /^HTTP\/1\.1 400 .*"invalid_request"/s);
  });
});
