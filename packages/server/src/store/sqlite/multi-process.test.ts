/** What must hold when there is more than one process, and when one of them, or the machine, stops at any instant. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { leafHash, rootOf } from "@countersign/protocol";
import { random } from "@countersign/testing/process/server-process";
import { commitEnds } from "@countersign/testing/process/wal";
import { aDecision, anEntry, aRequest, aWholeChange, partsOf } from "../contract/fixture.ts";
import { absent, type Store } from "../store.ts";
import { openSqlite } from "./sqlite.ts";

const long = process.env.COUNTERSIGN_LONG === "1";

function inFile(sentence: string, check: (path: string) => Promise<void>): void {
  test(sentence, async () => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-process-"));
    try {
      await check(join(directory, "countersign.db"));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

const program = fileURLToPath(import.meta.resolve("@countersign/testing/process/writing-process"));

type Run = {
  /** Resolves when it has said that many lines. */
  said(count: number): Promise<void>;
  tell(): void;
  kill(): void;
  /** What it said, once it has ended; rejected if it ended badly without having been killed. */
  readonly ended: Promise<readonly string[]>;
};

/** Starts the writing process. */
function start(command: string, args: readonly string[]): Run {
  // Its error output is this test's own, so that a fault of the program itself is seen.
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const output = new EventEmitter();
  let said = "";
  // What follows the last line break was cut off by a kill: it was not said.
  const lines = () => said.split("\n").slice(0, -1);
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk;
    output.emit("more");
  });
  const ended = new Promise<readonly string[]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve(lines());
      else reject(new Error(`the writing process ended with ${code ?? signal}`));
    });
  });
  return {
    said: async (count) => {
      while (lines().length < count) await Promise.race([once(output, "more"), ended.then(failure)]);
    },
    tell: () => child.stdin.end(),
    kill: () => child.kill("SIGKILL"),
    ended,
  };
}

function failure(lines: readonly string[]): never {
  throw new Error(`the writing process ended after ${JSON.stringify(lines)}`);
}

const run = (...args: string[]) => start(process.execPath, [program, ...args]);

/** Starts several, lets them all go at once when each is ready, and answers what they said after that. */
async function runTogether(count: number, ...args: string[]): Promise<readonly string[]> {
  const runs = Array.from({ length: count }, () => run(...args));
  await Promise.all(runs.map(({ said }) => said(1)));
  for (const { tell } of runs) tell();
  const said = await Promise.all(runs.map(({ ended }) => ended));
  return said.flatMap((lines) => lines.slice(1));
}

/** The log is one sequence without a gap, its tree is the tree of its lines, and nothing has an index twice. */
async function checkLog(store: Store): Promise<readonly string[]> {
  const size = await store.log.sequence(1_000_000);
  const entries = await store.log.entries(0, size + 1);
  assert.deepEqual(
    entries.map(({ index }) => index),
    [...Array(size).keys()],
  );
  const leaves = entries.map(({ line }) => leafHash(line));
  assert.deepEqual(Buffer.from(await store.log.root(size)), Buffer.from(rootOf(leaves)));
  return entries.map(({ line }) => JSON.parse(line).id);
}

/** Everything acknowledged is there, and nothing is there in part. */
async function checkAcknowledged(store: Store, lines: readonly string[], prefix: string): Promise<number> {
  const names = lines.flatMap((line) => (line.startsWith("change ") ? [line.slice("change ".length)] : []));
  for (const name of names) assert.equal(await partsOf(store, name), "all", `${name} was acknowledged`);
  const lastTurn = Math.max(-1, ...names.map((name) => Number(name.split("_").at(-2))));
  for (let turn = 0; turn <= lastTurn + 2; turn += 1) {
    const found = await Promise.all([0, 1, 2, 3].map((n) => partsOf(store, `${prefix}_${turn}_${n}`)));
    const expected = found.slice(0, 1 + (turn % 4));
    assert.ok(new Set(expected).size === 1 && typeof expected[0] === "string", `turn ${turn}: ${found}`);
  }
  const sizes = lines.filter((line) => line.startsWith("size ")).map((line) => line.split(" "));
  for (const [, size, root] of sizes)
    assert.equal(Buffer.from(await store.log.root(Number(size))).toString("base64url"), root);
  return names.length;
}

inFile("T21: kill -9 at any moment loses nothing acknowledged and leaves nothing half done", async (path) => {
  const pick = random(20_260_115);
  const runs = Array.from({ length: long ? 100 : 5 }, (_, n) => `run${n}`);
  let acknowledged = 0;
  for (const prefix of runs) {
    const { said, kill, ended } = run("write", path, prefix);
    await said(1 + Math.floor(pick() * 60));
    setTimeout(kill, pick() * 10);
    const lines = await ended;
    const store = openSqlite({ path });
    acknowledged += await checkAcknowledged(store, lines, prefix);
    const ids = await checkLog(store);
    assert.equal(new Set(ids).size, ids.length);
    await store.close();
  }
  assert.ok(acknowledged > runs.length, `only ${acknowledged} changes were acknowledged before the kills`);
});

inFile(
  "a write-ahead log that ends too early, or in rubbish, is a store as it was after some commit",
  async (path) => {
    const pick = random(20_260_116);
    const store = openSqlite({ path });
    const turns = 12;
    const before = commitEnds(path).length;
    for (let turn = 0; turn < turns; turn += 1) {
      await Promise.all([0, 1, 2].map((n) => store.commit(aWholeChange(`cut_${turn}_${n}`))));
      if (turn === 7) await store.log.sequence(20);
    }
    const wal = readFileSync(`${path}-wal`);
    const ends = commitEnds(path);
    assert.equal(ends.at(-1), wal.length);
    assert.equal(ends.length, before + turns + 1);
    const copy = `${path}.cut.db`;
    for (let n = 0; n < (long ? 400 : 25); n += 1) {
      const at = n < 3 ? ends.at(-1 - n)! - 1 : Math.floor(pick() * (wal.length + 1));
      const torn = Buffer.from(wal);
      if (n % 2) torn.fill(0xa5, at, Math.min(wal.length, at + 512));
      copyFileSync(path, copy);
      writeFileSync(`${copy}-wal`, n % 2 ? torn : torn.subarray(0, at));
      const whole = ends.filter((end) => end <= at).length - before;
      const recovered = openSqlite({ path: copy });
      const sequencing = 8;
      for (let turn = 0; turn < turns; turn += 1) {
        const found = await Promise.all([0, 1, 2].map((m) => partsOf(recovered, `cut_${turn}_${m}`)));
        const there = turn < (whole > sequencing ? whole - 1 : whole);
        assert.deepEqual(found, Array(3).fill(there ? "all" : "nothing"), `cut at ${at}, turn ${turn}`);
      }
      assert.equal(await recovered.log.size(), whole > sequencing ? 20 : 0);
      await checkLog(recovered);
      await recovered.close();
      for (const file of [copy, `${copy}-wal`, `${copy}-shm`]) rmSync(file, { force: true });
    }
    await store.close();
  },
);

inFile("T18: of three processes that redeem the same approvals one gets each", async (path) => {
  const store = openSqlite({ path });
  const approved = Array.from({ length: 40 }, () =>
    aRequest({ status: { state: "approved", decision: aDecision() } }),
  );
  await Promise.all(
    approved.map((record) =>
      store.commit({ writes: [{ put: "request", record, ifVersion: absent }], entries: [anEntry()] }),
    ),
  );
  const won = [...(await runTogether(3, "redeem", path))];
  const tokens = store.list("token") as readonly { record: { hash: string; requestId: string } }[];
  assert.deepEqual(tokens.map(({ record }) => record.hash).sort(), won.sort());
  assert.deepEqual(tokens.map(({ record }) => record.requestId).sort(), approved.map(({ id }) => id).sort());
  const ids = await checkLog(store);
  assert.deepEqual(ids.filter((id) => id.startsWith("log ")).sort(), won.map((hash) => `log ${hash}`).sort());
  await store.close();
});

inFile("a new file that several processes open at once is filled once and serves them all", async (path) => {
  assert.deepEqual(await runTogether(4, "open", path), Array(4).fill("committed"));
  const store = openSqlite({ path });
  assert.equal((await checkLog(store)).length, 4);
  await store.close();
});

inFile(
  "a full disk is a fault that names the file; what was acknowledged before it is there after it",
  async (path) => {
    await openSqlite({ path }).close();
    // The limit is in blocks of 512 or 1024 bytes, by shell; either way it is reached after a few dozen commits.
    const limited = `ulimit -f 1000; exec "$0" "$@"`;
    const { ended } = start("sh", ["-c", limited, process.execPath, program, "write", path, "full"]);
    const said = await ended;
    assert.match(said.at(-1) ?? "", /^fault .*countersign\.db: .*no room left/);
    const store = openSqlite({ path });
    assert.ok((await checkAcknowledged(store, said, "full")) > 10);
    await checkLog(store);
    await store.close();
  },
);

inFile(
  "a watcher does not keep its process alive, and one that throws does not silence the others",
  async (path) => {
    const { ended } = run("watch", path);
    assert.deepEqual(await ended, ["heard", "uncaught from a listener", "committed"]);
  },
);
