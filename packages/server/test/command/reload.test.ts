/** `countersign reload` and SIGHUP, with a server in its own process. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { killProcess, startProcess } from "@countersign/testing/process/server-process";
import { type ConfigEdit, editConfigFile } from "@countersign/testing/server/edit-config";
import { runCli } from "@countersign/testing/server/run-cli";
import { findFreePort } from "@countersign/testing/server/tls-fetch";

describe("countersign reload", () => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-reload-"));
  const file = join(folder, "countersign.yaml");
  let issuer: string;
  let server: ChildProcess;
  let log = "";

  before(async () => {
    issuer = `http://localhost:${await findFreePort()}`;
    assert.equal((await runCli(["init", "--config", file, "--issuer", issuer])).code, 0);
    server = await startProcess(file, {}, (text) => {
      log += text;
    });
  });
  after(async () => {
    await killProcess(server);
    rmSync(folder, { recursive: true });
  });

  const reload = () => runCli(["reload", "--config", file]);
  const editRefund = (edit: ConfigEdit) => editConfigFile(file, { actions: { refund: edit } });
  const readSentence = async () => {
    const { action_types } = (await (await fetch(`${issuer}/action-types`)).json()) as {
      action_types: readonly { definition: { type: string; sentence: string } }[];
    };
    return action_types.find(({ definition }) => definition.type === "refund")?.definition.sentence;
  };

  test("applies a changed action type without a restart", async () => {
    editRefund({ display: { sentence: "Pay {amount} to {customer}, {order}" } });
    const result = await reload();
    assert.deepEqual(result, { code: 0, out: "reloaded:\n  actions.refund\n", err: "" });
    assert.equal(await readSentence(), "Pay {amount} to {customer}, {order}");
    assert.equal((await reload()).out, "reloaded: no policy changed\n");
  });

  test("reports keys that need a restart", async () => {
    editConfigFile(file, { dpop: { require_nonce: true } });
    const result = await reload();
    assert.equal(result.code, 0);
    assert.equal(result.err, "changed, but in effect only after a restart: dpop\n");
  });

  test("rejects a file with a problem, and the server keeps its policy", async () => {
    editRefund({ deny_by: ["ordr"] });
    const result = await reload();
    assert.equal(result.code, 1);
    assert.match(
      result.err,
      /the server keeps its policy:\n.*countersign\.yaml:\d+:\d+: actions\.refund\.deny_by/s,
    );
    assert.equal(await readSentence(), "Pay {amount} to {customer}, {order}");
  });

  test("reloads on SIGHUP, and logs a rejected file", async () => {
    server.kill("SIGHUP");
    await waitFor(() => /"event":"reload_rejected"/.test(log));
    editRefund({ deny_by: ["order"] });
    editRefund({ display: { sentence: "Give {amount} to {customer}, {order}" } });
    server.kill("SIGHUP");
    await waitFor(() => /"event":"reloaded"/.test(log.slice(log.lastIndexOf("reload_rejected"))));
    assert.equal(await readSentence(), "Give {amount} to {customer}, {order}");
  });

  test("permits only the server's user to connect to the control socket", () => {
    assert.equal(statSync(join(folder, "countersign-data", "control.sock")).mode & 0o777, 0o600);
  });

  test("fails with a remedy if no server is running, and the log verifies", async () => {
    const exited = once(server, "exit");
    server.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
    const result = await reload();
    assert.equal(result.code, 1);
    assert.match(result.err, /no server can be reached at .*control\.sock: .*ENOENT/);
    const verified = await runCli(["log", "verify", "--config", file]);
    assert.equal(verified.code, 0, verified.err);
  });

  test("ignores a socket left behind by a killed server", async () => {
    server = await startProcess(file, {}, () => {});
    await killProcess(server);
    server = await startProcess(file, {}, () => {});
    assert.equal((await reload()).out, "reloaded: no policy changed\n");
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    assert.ok(waited < 20_000, "the condition does not hold after 20 s");
    await sleep(20);
  }
}
