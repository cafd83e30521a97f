/** What a start loads before it answers: each file is read, looked up and run, and all of them together are most of its time. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import { runCommand } from "../../src/command/cli/run.ts";

const main = new URL("../../src/main.ts", import.meta.url).pathname;

/** Tells on standard error which files are loaded. */
const listening = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from "node:module";
import { writeSync } from "node:fs";
registerHooks({ load: (url, context, next) => { writeSync(2, "loaded " + url + "\\n"); return next(url, context); } });
`)}`;

const absent = {
  "mail, where no channel is configured": /\/nodemailer\/|channel\/mail\/mail\.ts/,
  "passkeys, before one is used": /\/@simplewebauthn\/|\/@peculiar\/|\/reflect-metadata\//,
  "PostgreSQL, where the store is a file": /\/node_modules\/postgres\/|store\/postgres\//,
  "OpenTelemetry, where no SDK is set up": /\/@opentelemetry\/|http\/trace\.ts/,
  "metrics, where nobody asks for them": /\/prom-client\/|metrics\//,
  "OpenFGA and AuthZEN, where nobody is asked": /\/@openfga\/|permission\/(openfga|authzen)/,
  "QR codes": /\/node_modules\/qrcode\//,
  "other commands": /command\/(agent|api|approver|log|evidence|store|backup|doctor|init)[-.]/,
  "the check of exported logs": /src\/log\/(verify|history|export)\.ts/,
};

describe("countersign start", () => {
  test("loads no modules that SQLite without mail and TLS does not need", async () => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-start-"));
    try {
      const file = join(folder, "countersign.yaml");
      const quiet = {
        stdout: () => {},
        stderr: () => {},
        isTTY: false,
        signal: new AbortController().signal,
      };
      const issuer = `http://localhost:${await findFreePort()}`;
      assert.equal(await runCommand(["init", "--config", file, "--issuer", issuer], quiet), 0);
      const child = spawn(process.execPath, ["--import", listening, main, "start", "--config", file]);
      let said = "";
      child.stderr.on("data", (text) => {
        said += text;
      });
      child.stdout.on("data", (text) => String(text).includes("listens on") && child.kill());
      await once(child, "close");
      const loaded = [...said.matchAll(/^loaded (.*)$/gm)].map(([, url = ""]) => url);
      assert.ok(
        loaded.some((url) => url.endsWith("src/server.ts")),
        said,
      );
      for (const [what, files] of Object.entries(absent))
        assert.deepEqual(
          loaded.filter((url) => files.test(url)),
          [],
          what,
        );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("runs without a compile cache if its directory cannot be written", () => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-start-"));
    try {
      symlinkSync(join(folder, "nothing"), join(folder, "dangling"));
      for (const cache of ["/proc/nothing", join(folder, "dangling"), join(folder, "no", "such")]) {
        const env = { ...process.env, XDG_CACHE_HOME: cache };
        const ran = spawnSync(process.execPath, [main, "--version"], { env, timeout: 60_000 });
        assert.equal(ran.status, 0, `${cache}: ${ran.stderr}`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
