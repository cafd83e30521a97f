import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { editConfigFile } from "@countersign/testing/server/edit-config";
import { runCli } from "@countersign/testing/server/run-cli";

const main = new URL("../../src/main.ts", import.meta.url).pathname;
const folder = realpathSync(mkdtempSync(join(tmpdir(), "countersign-command-")));
const at = (name: string) => join(folder, name);
const store = at("countersign-data/countersign.db");
const key = at("countersign-data/countersign.key");

/** Runs a command in the folder, as an operator would, but for the process of its own. */
const countersign = (...words: string[]) => runCli(words);

before(async () => {
  process.chdir(folder);
  const made = await countersign("init");
  assert.equal(made.code, 0, made.err);
});
after(() => rmSync(folder, { recursive: true }));

describe("countersign init and check", () => {
  test("init writes a valid configuration and a key file that only its owner can read", async () => {
    assert.equal(statSync(key).mode & 0o777, 0o600);
    const checked = await countersign("check");
    assert.deepEqual([checked.code, checked.err], [0, ""]);
    assert.match(checked.out, /is valid/);
    assert.match(readFileSync(at("countersign.yaml"), "utf8"), /^# Countersign/);
  });

  test("init overwrites nothing", async () => {
    const before = readFileSync(at("countersign.yaml"), "utf8");
    const again = await countersign("init");
    assert.equal(again.code, 1);
    assert.match(again.err, /already exist/);
    assert.equal(readFileSync(at("countersign.yaml"), "utf8"), before);
  });

  test("reports a missing database in every command, including init", async () => {
    renameSync(store, `${store}.away`);
    for (const words of [["start"], ["agent", "list"], ["log", "verify"], ["init"]]) {
      const answer = await countersign(...words);
      assert.equal(answer.code, 1, words.join(" "));
      assert.match(answer.err, /database/);
      assert.doesNotMatch(answer.err, /at .*\.ts:/, "no stack");
    }
    renameSync(`${store}.away`, store);
    assert.equal((await countersign("agent", "list")).code, 0);
  });

  test("checks the TLS files, and names an unusable one", async () => {
    const file = at("countersign.yaml");
    const kept = readFileSync(file, "utf8");
    editConfigFile(file, {
      issuer: "https://localhost:4400",
      listen: { tls: { certificate: "no.pem", key: "no.key" } },
    });
    const checked = await countersign("check");
    const started = await countersign("start");
    writeFileSync(file, kept);
    for (const { code, err } of [checked, started]) {
      assert.equal(code, 1);
      assert.match(err, /no\.pem does not exist/);
      assert.doesNotMatch(err, /at .*\.ts:/, "no stack");
    }
  });

  test("rejects a wrong root key", async () => {
    copyFileSync(key, `${key}.kept`);
    writeFileSync(key, Buffer.alloc(32, 7).toString("base64url"));
    const answer = await countersign("start");
    copyFileSync(`${key}.kept`, key);
    assert.equal(answer.code, 1);
    assert.match(answer.err, /cannot be decrypted: the root key is not the one/);
    assert.doesNotMatch(answer.err, /at .*\.ts:/);
  });

  test("names file, line and remedy of a mistake in the configuration", async () => {
    const bound = ["ordr", "customer", "amount", "currency"];
    editConfigFile(at("countersign.yaml"), { actions: { refund: { bound } } }, at("broken.yaml"));
    const answer = await countersign("check", "--config", "broken.yaml");
    assert.equal(answer.code, 1);
    assert.match(answer.err, /broken\.yaml:\d+:\d+: .*ordr/);
    assert.equal((await countersign("check", "--config", "nowhere.yaml")).code, 1);
  });
});

describe("countersign", () => {
  test("prints an agent's secret once, never stores it, and validates ids and names", async () => {
    const added = await countersign("agent", "add", "desk", "--name", "Refund desk", "--type", "refund");
    const secret = /client_secret=(\S{43})/.exec(added.out)?.[1] ?? "";
    assert.ok(secret);
    assert.ok(
      !readFileSync(store).includes(secret) && !readFileSync(`${store}-wal`, { flag: "a+" }).includes(secret),
    );
    const refused = [
      ["agent", "add", "desk", "--type", "refund"],
      ["agent", "add", "bad id", "--type", "refund"],
      ["agent", "add", "other", "--type", "transfer"],
      ["agent", "add", "other"],
      ["agent", "add", "other", "--type", "refund", "--name", "A\u202e"],
      ["agent", "add", "other", "--type", "refund", "--auth", "none"],
      ["agent", "pause", "nobody"],
      ["api", "add", "bad id", "--for", "refunds"],
      ["api", "add", "refunds-api", "--for", "nothing"],
      ["approver", "invite", "nobody"],
      ["approver", "invite", "a@example.com", "--name", "A\u202e"],
      ["approver", "remove", "nobody@example.com"],
      ["device", "remove", "none"],
      ["denials", "release", "none"],
      ["requests", "cancel", "req_none"],
      ["requests", "--state", "odd"],
      ["evidence", "export", "req_none"],
    ];
    for (const words of refused) {
      const answer = await countersign(...words);
      assert.equal(answer.code, 1, words.join(" "));
      assert.match(answer.err, /^countersign: /);
      assert.doesNotMatch(answer.err, /at .*\.ts:|fault of ours/);
    }
  });

  test("exits with 2 and a usage message on invalid arguments", async () => {
    for (const words of [
      ["frobnicate"],
      ["agent"],
      ["agent", "add"],
      ["start", "--port", "1"],
      ["log", "show", "a", "b"],
    ]) {
      const answer = await countersign(...words);
      assert.equal(answer.code, 2, words.join(" "));
      assert.match(answer.err, /countersign/);
    }
    for (const words of [["--help"], ["start", "--help"], ["agent", "add", "-h"]]) {
      const answer = await countersign(...words);
      assert.deepEqual([answer.code, answer.err], [0, ""]);
      assert.match(answer.out, /^usage: countersign/);
    }
  });
});

describe("countersign log", () => {
  test("verifies the log, and an export of it with only a key", async () => {
    assert.match((await countersign("log", "verify")).out, /verifies/);
    assert.equal((await countersign("log", "export", "log.jsonl")).code, 0);
    assert.equal(
      (await countersign("log", "export", "log.jsonl")).code,
      1,
      "and is not written over another file",
    );
    const logKey = (await countersign("log", "key")).out.trim();
    writeFileSync(at("kept.txt"), (await countersign("log", "checkpoint")).out);
    await countersign("approver", "invite", "ada@example.com");
    await countersign("log", "export", "later.jsonl");
    for (const file of ["log.jsonl", "later.jsonl"]) {
      const verified = await countersign("log", "verify", file, "--key", logKey, "--checkpoint", "kept.txt");
      assert.equal(verified.code, 0, verified.err);
      assert.match(verified.out, /Entries up to \d+ are unchanged/);
    }
    writeFileSync(at("forged.jsonl"), readFileSync(at("log.jsonl"), "utf8").replace("desk", "dusk"));
    const forged = await countersign("log", "verify", "forged.jsonl");
    assert.equal(forged.code, 1);
    assert.match(forged.err, /does NOT verify/);
  });

  test("rejects a checkpoint file with other content", async () => {
    const good = readFileSync(at("kept.txt"), "utf8");
    const damaged = ["", "garbage\n", `${good}\ngarbage\n`, good.replace("\n\n", "\n"), good.slice(0, -20)];
    for (const text of damaged) {
      writeFileSync(at("damaged.txt"), text);
      const answer = await countersign("log", "verify", "log.jsonl", "--checkpoint", "damaged.txt");
      assert.equal(answer.code, 1, JSON.stringify(text));
    }
    writeFileSync(at("windows.txt"), good.replaceAll("\n", "\r\n"));
    assert.equal((await countersign("log", "verify", "log.jsonl", "--checkpoint", "windows.txt")).code, 0);
  });

  test("writes every checkpoint to the checkpoint file, including those that a command signs", async () => {
    const plain = await countersign("approver", "invite", "bob@example.com");
    const drawn = await countersign("approver", "invite", "bob@example.com", "--qr");
    assert.doesNotMatch(plain.out, /[▀▄█]/, "a program that reads the link is not handed a picture");
    assert.match(drawn.out, /[▀▄█]/);
    const newest = (await countersign("log", "checkpoint")).out;
    assert.ok(readFileSync(at("countersign-data/checkpoints.txt"), "utf8").includes(newest.trim()));
  });

  test("rejects a changed log name, and signs nothing", async () => {
    editConfigFile(at("countersign.yaml"), { log: { origin: "elsewhere/log" } }, at("renamed.yaml"));
    const answer = await countersign("log", "checkpoint", "--config", "renamed.yaml");
    assert.equal(answer.code, 1);
    assert.match(answer.err, /signed as localhost\/countersign/);
  });
});

describe("countersign as a process", () => {
  test("has the same output and exit code, and survives a closed pipe", () => {
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [main, ...words], { cwd: folder, encoding: "utf8" });
    assert.deepEqual(
      [run("check").status, run("frobnicate").status, run("agent", "pause", "nobody").status],
      [0, 2, 1],
    );
    const cut = spawnSync("sh", ["-c", `"${process.execPath}" "${main}" log show | head -n 1`], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.deepEqual(
      [cut.status, cut.stderr.replaceAll(/.*ExperimentalWarning.*\n.*trace-warnings.*\n/g, "")],
      [0, ""],
    );
  });
});

describe("countersign approver code", () => {
  test("generates a code and prints it once, sets a given code, and removes it", async () => {
    await countersign("approver", "invite", "coded@example.com");
    const made = await countersign("approver", "code", "Coded@example.com");
    assert.match(made.out, /^user_code=[0-9]{8}\n/);
    assert.match(made.out, /note: user_codes is false/);
    writeFileSync(at("code"), "mellon-mellon\n");
    assert.equal((await countersign("approver", "code", "coded@example.com", "--file", at("code"))).code, 0);
    writeFileSync(at("code"), "1234\n");
    for (const words of [
      ["coded@example.com", "--file", at("code")],
      ["coded@example.com", "--file", at("missing")],
      ["nobody@example.com"],
    ]) {
      const answer = await countersign("approver", "code", ...words);
      assert.equal(answer.code, 1, words.join(" "));
      assert.doesNotMatch(answer.err, /at .*\.ts:/, "no stack");
    }
    const listed = async () => {
      const { out } = await countersign("approver", "list", "--json");
      const rows = out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      return rows.find(({ email }) => email === "coded@example.com")?.user_code;
    };
    assert.equal(await listed(), "set");
    const removed = await countersign("approver", "code", "coded@example.com", "--remove");
    assert.equal(await listed(), "none");
    assert.match(removed.out, /removed the user code of/);
  });
});
