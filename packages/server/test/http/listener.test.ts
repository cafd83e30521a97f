/** The listeners themselves: what TLS is spoken, how certificates are renewed, what is cut off, and what is refused. */
import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectClear } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import {
  type CertificateAuthority,
  createCertificateAuthority,
} from "@countersign/testing/server/certificate";
import { listen } from "../../src/http/transport/listener.ts";

let folder: string;
let authority: CertificateAuthority;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "countersign-listener-"));
  authority = await createCertificateAuthority();
  await write("ec", await authority.issueForServer("localhost"));
});
after(() => rmSync(folder, { recursive: true }));

const file = (name: string) => join(folder, name);

function write(name: string, made: { readonly certificate: string; readonly key: string }): void {
  writeFileSync(file(`${name}.pem`), made.certificate);
  writeFileSync(file(`${name}.key`), made.key);
}

const echo = async (request: Request) => new Response(`heard ${await request.text()}`);
const app = { fetch: echo, findHandler: () => undefined };
const served = { app, protocol: app };
const faults: unknown[] = [];
const host = "127.0.0.1";

function open(tls?: { certificate: string; key: string }, patience?: Parameters<typeof listen>[3]) {
  const onFault = (fault: unknown) => faults.push(fault);
  return listen({ listen: { host, port: 0, ...(tls && { tls }) } }, served, onFault, patience);
}

async function opened(name = "ec", patience?: Parameters<typeof listen>[3]) {
  const listener = await open({ certificate: file(`${name}.pem`), key: file(`${name}.key`) }, patience);
  assert.ok(!("refused" in listener));
  return { ...listener, port: listener.addresses[0]?.port ?? 0 };
}

/** The suite that both agreed on and the certificate that was shown; or the error's code. */
async function tlsConnect(port: number, options: ConnectionOptions): Promise<readonly [string, string]> {
  const socket = connect({ port, host, servername: "localhost", ca: authority.ca, ...options });
  try {
    await once(socket, "secureConnect");
    return [socket.getCipher().standardName, socket.getPeerX509Certificate()?.fingerprint256 ?? ""];
  } catch (error) {
    return [(error as NodeJS.ErrnoException).code ?? "", ""];
  } finally {
    socket.destroy();
  }
}

describe("listen", () => {
  test("accepts TLS 1.3 and 1.2 with forward secrecy and GCM, and nothing older", async () => {
    const listener = await opened();
    const suite = async (options: ConnectionOptions) => (await tlsConnect(listener.port, options))[0];
    assert.match(await suite({}), /^TLS_(AES|CHACHA20)/);
    const old = { maxVersion: "TLSv1.2" } as const;
    for (const size of [128, 256])
      assert.equal(
        await suite({ ...old, ciphers: `ECDHE-ECDSA-AES${size}-GCM-SHA${size === 128 ? 256 : 384}` }),
        `TLS_ECDHE_ECDSA_WITH_AES_${size}_GCM_SHA${size === 128 ? 256 : 384}`,
      );
    for (const ciphers of [
      "ECDHE-ECDSA-AES128-SHA256",
      "ECDHE-ECDSA-AES128-SHA",
      "ECDHE-ECDSA-CHACHA20-POLY1305",
      "ECDHE-ECDSA-AES128-CCM",
    ])
      assert.match(await suite({ ...old, ciphers }), /^(ERR_SSL|ECONNRESET|EPROTO)/, ciphers);
    const ancient = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as const;
    assert.match(await suite(ancient), /^(ERR_SSL|ECONNRESET|EPROTO)/);
    await listener.close(0);
  });

  test("uses a replaced certificate for new connections, and keeps the old one if it is broken", async () => {
    write("renewed", await authority.issueForServer("localhost"));
    const listener = await opened("renewed");
    const [, first] = await tlsConnect(listener.port, {});
    const fresh = await authority.issueForServer("localhost");
    writeFileSync(file("renewed.pem"), fresh.certificate);
    listener.renew();
    assert.match(
      String(faults.pop()),
      /renewed\.key is not the key of the first certificate in .*renewed\.pem/,
    );
    assert.deepEqual((await tlsConnect(listener.port, {}))[1], first);
    writeFileSync(file("renewed.key"), fresh.key);
    listener.renew();
    assert.equal(
      (await tlsConnect(listener.port, {}))[1],
      new X509Certificate(fresh.certificate).fingerprint256,
    );
    assert.deepEqual(faults, []);
    await listener.close(0);
  });

  /** What arrives until the other side ends the connection. */
  async function untilEnd(socket: NodeJS.ReadWriteStream): Promise<string> {
    let said = "";
    socket.on("data", (text) => {
      said += text;
    });
    socket.on("error", () => {});
    await once(socket, "close");
    return said;
  }

  test("closes connections that send nothing or never finish a request (T60)", async () => {
    const quick = {
      handshakeTimeout: 50,
      headersTimeout: 50,
      requestTimeout: 100,
      connectionsCheckingInterval: 20,
    };
    const clear = await open(undefined, quick);
    assert.ok(!("refused" in clear));
    const port = clear.addresses[0]?.port ?? 0;
    const say = (text: string) => {
      const socket = connectClear({ port, host });
      socket.write(text);
      return untilEnd(socket);
    };
    assert.match(await say(""), /^HTTP\/1.1 408/);
    assert.match(await say("GET / HTTP/1.1\r\nHost: x\r\n"), /^HTTP\/1.1 408/);
    assert.match(
      await say("POST / HTTP/1.1\r\nHost: localhost:4400\r\nContent-Length: 10\r\n\r\nhalf"),
      /^HTTP\/1.1 408/,
    );
    await clear.close(0);
    const secure = await opened("ec", quick);
    await untilEnd(connectClear({ port: secure.port, host }));
    await secure.close(0);
  });

  test("rejects unusable certificate and key files, with the file and a remedy", async () => {
    write("other", await authority.issueForServer("localhost"));
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const locked = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
    writeFileSync(file("locked.key"), privateKey.export(locked));
    writeFileSync(file("empty.pem"), "");
    writeFileSync(file("hidden.key"), "x");
    chmodSync(file("hidden.key"), 0);
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ["none.pem", "ec.key", /none\.pem does not exist/],
      ["ec.pem", "none.key", /none\.key does not exist/],
      ["empty.pem", "ec.key", /empty\.pem contains no readable certificate/],
      ["ec.key", "ec.key", /ec\.key contains no readable certificate/],
      ["ec.pem", "ec.pem", /ec\.pem contains no readable private key/],
      ["ec.pem", "locked.key", /locked\.key has a passphrase/],
      ["ec.pem", "other.key", /other\.key is not the key of the first certificate in .*ec\.pem/],
      // Who may read everything reads that it is nonsense.
      ["ec.pem", "hidden.key", /hidden\.key (cannot be read|contains no readable private key)/],
    ];
    for (const [certificate, key, expected] of cases) {
      const answer = await open({ certificate: file(certificate), key: file(key) });
      assert.ok("refused" in answer, `${certificate} ${key}`);
      assert.match(answer.refused, expected);
      assert.ok(answer.remedy.length > 10);
    }
  });

  test("rejects a port in use, and closes the listener that was opened first", async () => {
    const taken = await open();
    assert.ok(!("refused" in taken));
    const port = taken.addresses[0]?.port ?? 0;
    const tls = { certificate: file("ec.pem"), key: file("ec.key") };
    const config = {
      listen: { host, port: 0 },
      mtls: { url: "https://x.example", listen: { host, port, tls } },
    };
    const answer = await listen(config, served, () => {});
    assert.ok("refused" in answer);
    assert.match(answer.refused, /the port is in use/);
    await taken.close(0);
  });

  test("finishes open requests before the listener is closed", async () => {
    const [arrived, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = async () => {
      arrived.resolve();
      await held.promise;
      return new Response("done");
    };
    const listener = await listen(
      { listen: { host, port: 0 } },
      { app: { ...app, fetch: slow }, protocol: app },
      () => {},
    );
    assert.ok(!("refused" in listener));
    const asked = fetch(`http://${host}:${listener.addresses[0]?.port}/`);
    await arrived.promise;
    const closed = listener.close(10_000);
    held.resolve();
    assert.equal(await (await asked).text(), "done");
    await closed;
  });
});
