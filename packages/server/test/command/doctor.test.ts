/** `countersign doctor`, on a deployment that is well and on one of which much is not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { sampleConfig } from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { SMTPServer } from "smtp-server";
import { runCommand } from "../../src/command/cli/run.ts";

const folder = mkdtempSync(join(tmpdir(), "countersign-doctor-"));
const file = join(folder, "countersign.yaml");
const stop = new AbortController();
const smtp = new SMTPServer({ authOptional: true, disabledCommands: ["STARTTLS"] });
const callback = createServer((_, response) => response.writeHead(405).end());
let here: string;
let started: Promise<unknown>;

type Finding = { readonly about: string; readonly state: string; readonly summary: string };

async function countersign(...words: string[]) {
  const said = { out: "", err: "" };
  const code = await runCommand([...words, "--config", file], {
    stdout: (text) => {
      said.out += `${text}\n`;
    },
    stderr: (text) => {
      said.err += `${text}\n`;
    },
    isTTY: false,
    signal: stop.signal,
  });
  return { code, ...said };
}

async function examined(): Promise<{ code: number; of: (about: string) => Finding | undefined }> {
  const { code, out } = await countersign("doctor", "--json");
  const findings: Finding[] = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const rank = ["fail", "warn", "ok"];
  findings.sort((a, b) => rank.indexOf(a.state) - rank.indexOf(b.state));
  return { code, of: (about) => findings.find((finding) => finding.about === about) };
}

const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

before(async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  here = `http://localhost:${portOf(probe)}`;
  const port = portOf(probe);
  await new Promise((resolve) => probe.close(resolve));
  await new Promise<void>((resolve) => smtp.listen(0, "127.0.0.1", resolve));
  await new Promise<void>((resolve) => callback.listen(0, "127.0.0.1", resolve));
  const config = editConfig(sampleConfig, {
    issuer: here,
    listen: { port },
    channels: { mail: { smtp: `smtp://127.0.0.1:${portOf(smtp.server)}`, from: "a@example.com" } },
    outbound: { allow_private: ["127.0.0.0/8"], allow_http: true },
    log: { checkpoint_file: "./checkpoints.txt" },
  });
  writeFileSync(file, formatConfig(config));
  assert.equal((await countersign("init")).code, 0);
});
after(async () => {
  stop.abort();
  await started;
  callback.closeAllConnections();
  callback.close();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
  rmSync(folder, { recursive: true });
});

describe("countersign doctor", () => {
  test("reports an unreachable server, and exits with 1", async () => {
    const { code, of } = await examined();
    assert.equal(code, 1);
    assert.deepEqual([of("issuer")?.state, /ECONNREFUSED/.test(of("issuer")?.summary ?? "")], ["fail", true]);
    assert.equal(of("agents")?.state, "warn");
  });

  test("reports ok for issuer, clock, keys, log, callback and mail server", async () => {
    started = countersign("start");
    const url = `http://127.0.0.1:${portOf(callback)}/ping`;
    const added = await countersign(
      ...["agent", "add", "pinged", "--type", "refund", "--delivery", "ping", "--callback", url],
    );
    assert.equal(added.code, 0, added.err);
    let found = await examined();
    for (let tries = 0; found.of("issuer")?.state !== "ok" && tries < 50; tries += 1)
      found = await examined();
    const { code, of } = found;
    for (const about of ["issuer", "clock", "keys", "log", "disk", "database", "callback of pinged", "mail"])
      assert.equal(of(about)?.state, "ok", `${about}: ${of(about)?.summary}`);
    assert.equal(code, 0);
  });

  test("reports an unreachable callback and mail server with the reason", async () => {
    callback.closeAllConnections();
    await new Promise((resolve) => callback.close(resolve));
    await new Promise<void>((resolve) => smtp.close(() => resolve()));
    const { code, of } = await examined();
    assert.equal(code, 1);
    assert.equal(of("callback of pinged")?.state, "fail");
    assert.equal(of("mail")?.state, "fail");
    const plain = await countersign("doctor");
    assert.match(plain.out, /^FAIL {2}mail: /m);
  });
});
