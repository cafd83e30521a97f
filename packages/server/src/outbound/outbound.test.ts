import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { type Receiver, startReceiver } from "@countersign/testing/server/callback-receiver";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import {
  createOutbound,
  type OutboundFailure,
  type OutboundRequest,
  type OutboundResponse,
} from "./outbound.ts";

const loopback = { allowPrivate: ["127.0.0.0/8", "::1/128"], allowHttp: false };
const get = { method: "GET", maxBytes: 1000 } as const;

let receiver: Receiver;
let ca: string;

before(async () => {
  const certificates = await createCertificateAuthority();
  ca = certificates.ca;
  receiver = await startReceiver(certificates, "agent.example");
});
after(() => receiver.close());

/** Returns a URL of the receiver by the name in its certificate, which resolves to loopback. */
const at = (path: string) => `https://agent.example:${receiver.port}${path}`;
const resolveLoopback = async () => ["127.0.0.1"];

function assertResponse(result: OutboundResponse | OutboundFailure): OutboundResponse {
  assert.ok("status" in result, JSON.stringify(result));
  return result;
}

function assertFailure(result: OutboundResponse | OutboundFailure): OutboundFailure {
  assert.ok("failed" in result, JSON.stringify(result));
  return result;
}

/** Calls the receiver. */
function call(changed: Partial<OutboundRequest> = {}): Promise<OutboundResponse | OutboundFailure> {
  const outbound = createOutbound({ ...loopback, ca, resolve: resolveLoopback });
  return outbound({ ...get, url: at("/"), ...changed });
}

describe("createOutbound", () => {
  test("sends method, headers and body to the host, and returns the response", async () => {
    receiver.respond = (response) => response.writeHead(201, { "x-reply": "yes" }).end("täken");
    const body = '{"a":"ä"}';
    const result = assertResponse(
      await call({ method: "POST", url: at("/cb?x=1"), headers: { authorization: "Bearer t" }, body }),
    );
    assert.deepEqual(
      [result.status, result.body, result.complete, result.headers["x-reply"]],
      [201, "täken", true, "yes"],
    );
    const got = receiver.received.at(-1)!;
    assert.deepEqual([got.method, got.path, got.body], ["POST", "/cb?x=1", body]);
    assert.equal(got.headers.host, `agent.example:${receiver.port}`);
    assert.equal(got.headers.authorization, "Bearer t");
    assert.equal(got.headers["content-length"], String(Buffer.byteLength(body)));
    assert.equal(got.headers.connection, "close");
  });

  test("rejects a certificate of another authority, or for another name", async () => {
    const before = receiver.received.length;
    const stranger = createOutbound({ ...loopback, resolve: resolveLoopback });
    assert.equal(assertFailure(await stranger({ ...get, url: at("/") })).failed, "unreachable");
    const other = await call({ url: `https://other.example:${receiver.port}/` });
    assert.match(assertFailure(other).why, /other\.example/);
    assert.equal(receiver.received.length, before);
  });

  test("refuses http, also to a name, unless its address is in an allowed range (T35)", async () => {
    const plain = await startReceiver();
    try {
      const url = plain.origin;
      assert.equal(assertFailure(await call({ url })).failed, "refused");
      const lenient = createOutbound({ ...loopback, allowHttp: true, resolve: resolveLoopback });
      assert.equal(assertResponse(await lenient({ ...get, url })).status, 204);
      const open = createOutbound({ ...loopback, allowHttp: true, resolve: async () => ["8.8.8.8"] });
      assert.equal(assertFailure(await open({ ...get, url })).failed, "refused");
    } finally {
      await plain.close();
    }
  });

  test("returns a redirect as a response, and does not follow it (T36)", async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      receiver.respond = (response) => response.writeHead(status, { location: at("/internal") }).end();
      const before = receiver.received.length;
      assert.equal(assertResponse(await call()).status, status);
      assert.equal(receiver.received.length, before + 1);
    }
  });

  test("connects to the address that was checked, whatever the name resolves to later (T37)", async () => {
    receiver.respond = (response) => response.writeHead(204).end();
    let asked = 0;
    // The allowed address on the first lookup, a private one later.
    const rebinding = async () => (asked++ === 0 ? ["127.0.0.1"] : ["169.254.169.254"]);
    const outbound = createOutbound({ ...loopback, ca, resolve: rebinding });
    assert.equal(assertResponse(await outbound({ ...get, url: at("/") })).status, 204);
    assert.equal(asked, 1);
    assert.match(
      assertFailure(await outbound({ ...get, url: at("/") })).why,
      /agent\.example resolves to 169\.254\.169\.254/,
    );
  });

  test("refuses a name with one private address, whatever the others are (T37)", async () => {
    const before = receiver.countConnections();
    for (const inside of ["127.0.0.1", "10.0.0.5", "::1", "::ffff:10.0.0.5", "64:ff9b::a00:5", "fd00::1"]) {
      const outbound = createOutbound({
        allowPrivate: [],
        allowHttp: false,
        ca,
        resolve: async () => ["8.8.8.8", inside],
      });
      assert.equal(assertFailure(await outbound({ ...get, url: at("/") })).failed, "refused", inside);
    }
    assert.equal(receiver.countConnections(), before);
  });

  test("treats localhost, as resolved by the system, as private", async () => {
    const outbound = createOutbound({ allowPrivate: [], allowHttp: false, ca });
    const url = `https://localhost:${receiver.port}/`;
    assert.equal(assertFailure(await outbound({ ...get, url })).failed, "refused");
  });

  test("skips addresses of a name that do not respond", async () => {
    receiver.respond = (response) => response.writeHead(204).end();
    const outbound = createOutbound({ ...loopback, ca, resolve: async () => ["::1", "127.0.0.1"] });
    assert.equal(assertResponse(await outbound({ ...get, url: at("/") })).status, 204);
  });

  test("returns unreachable for a name without an address, and for one that does not resolve", async () => {
    for (const resolve of [async () => [], async () => Promise.reject(new Error("ENOTFOUND"))]) {
      const outbound = createOutbound({ ...loopback, ca, resolve });
      assert.equal(assertFailure(await outbound({ ...get, url: at("/") })).failed, "unreachable");
    }
  });

  test("resolves a slow name once at a time, within the time limit", async () => {
    let asked = 0;
    let found = (_: readonly string[]) => {};
    const slow = () => {
      asked += 1;
      return new Promise<readonly string[]>((resolve) => {
        found = resolve;
      });
    };
    const outbound = createOutbound({ ...loopback, ca, resolve: slow });
    const both = [1, 2].map(() => outbound({ ...get, url: at("/"), timeoutMs: 20 }));
    for (const result of await Promise.all(both)) assert.equal(assertFailure(result).failed, "timeout");
    assert.equal(asked, 1);
    found(["127.0.0.1"]);
  });

  test("reads an endless body up to maxBytes, then closes the connection", async () => {
    receiver.respond = (response) => {
      response.writeHead(200);
      const flood = () => {
        while (response.write("a".repeat(65_536)));
      };
      response.on("drain", flood);
      flood();
    };
    const result = assertResponse(await call({ maxBytes: 1000 }));
    assert.deepEqual([result.status, result.complete, result.body], [200, false, "a".repeat(1000)]);
  });

  test("reads a slow body until the time limit, and not at all with maxBytes 0", async () => {
    receiver.respond = (response) => void response.writeHead(200).write("a");
    const late = assertResponse(await call({ timeoutMs: 200 }));
    assert.deepEqual([late.status, late.complete, late.body], [200, false, "a"]);
    const unread = assertResponse(await call({ maxBytes: 0, timeoutMs: 60_000 }));
    assert.deepEqual([unread.status, unread.complete, unread.body], [200, false, ""]);
  });

  test("returns timeout if no status arrives within the time limit", async () => {
    receiver.respond = () => {};
    const result = assertFailure(await call({ timeoutMs: 100 }));
    assert.deepEqual(result, { failed: "timeout", why: "no response within 100 ms" });
  });

  test("returns unreachable for headers that are too long or not HTTP", async () => {
    receiver.respond = (response) => response.writeHead(200, { "x-long": "a".repeat(20_000) }).end();
    assert.equal(assertFailure(await call()).failed, "unreachable");
    const outbound = createOutbound({ ...loopback, allowHttp: true, resolve: resolveLoopback });
    for (const line of [
      "hello\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
      "",
    ]) {
      const server = createServer((socket) => {
        socket.on("error", () => {}).resume();
        socket.end(line);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { port: number };
      const result = await outbound({ ...get, url: `http://localhost:${port}/`, timeoutMs: 2_000 });
      assert.equal(assertFailure(result).failed, "unreachable", line);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });

  test("stops on the caller's signal", async () => {
    receiver.respond = () => {};
    const stop = new AbortController();
    const calling = call({ signal: stop.signal });
    await receiver.waitForCount(receiver.received.length + 1);
    stop.abort();
    assert.equal(assertFailure(await calling).failed, "stopped");
    assert.equal(assertFailure(await call({ signal: stop.signal })).failed, "stopped");
  });

  test("rejects a header value that contains a second header", async () => {
    const before = receiver.received.length;
    const result = await call({ headers: { authorization: "Bearer a\r\nx-injected: yes" } });
    assert.equal(assertFailure(result).failed, "unreachable");
    assert.equal(receiver.received.length, before);
  });

  test("keeps no connection open after a call", async () => {
    receiver.respond = (response) => response.writeHead(204).end();
    for (let n = 0; n < 3; n += 1) await call();
    const deadline = Date.now() + 2_000;
    while (receiver.countConnections() > 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(receiver.countConnections(), 0);
  });
});
