/** Several processes on one file, and crashes of a process or the machine at any time. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { leafHash, rootOf } from "@countersign/protocol";
import { createRandom } from "@countersign/testing/process/server-process";
import { readCommitEnds } from "@countersign/testing/process/wal";
import { aDecision, anEntry, aRequest, aWholeChange, partsOf } from "../contract/fixture.ts";
import { absent, type Store } from "../store.ts";
import { openSqlite } from "./sqlite.ts";

const long = process.env.COUNTERSIGN_LONG === "1";

function inFile(title: string, check: (path: string) => Promise<void>): void {
  test(title, async () => {
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
  /** Resolves when the process has printed this many lines. */
  printed(count: number): Promise<void>;
  release(): void;
  kill(): void;
  /** Resolves with the printed lines when the process ends; rejects if it fails without having been killed. */
  readonly ended: Promise<readonly string[]>;
};

/** Starts a writing process. */
function start(command: string, args: readonly string[]): Run {
  // Inherit stderr, so that errors of the program are visible.
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const events = new EventEmitter();
  let output = "";
  // An incomplete last line was cut off by a kill and does not count.
  const lines = () => output.split("\n").slice(0, -1);
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
    events.emit("more");
  });
  const ended = new Promise<readonly string[]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve(lines());
      else reject(new Error(`the writing process ended with ${code ?? signal}`));
    });
  });
  return {
    printed: async (count) => {
      while (lines().length < count) await Promise.race([once(events, "more"), ended.then(failure)]);
    },
    release: () => child.stdin.end(),
    kill: () => child.kill("SIGKILL"),
    ended,
  };
}

function failure(lines: readonly string[]): never {
  throw new Error(`the writing process ended after ${JSON.stringify(lines)}`);
}

const run = (...args: string[]) => start(process.execPath, [program, ...args]);

/** Starts several processes, releases them together once all are ready, and returns what they print after that. */
async function runTogether(count: number, ...args: string[]): Promise<readonly string[]> {
  const runs = Array.from({ length: count }, () => run(...args));
  await Promise.all(runs.map(({ printed }) => printed(1)));
  for (const { release } of runs) release();
  const outputs = await Promise.all(runs.map(({ ended }) => ended));
  return outputs.flatMap((lines) => lines.slice(1));
}

/** Asserts that indexes are consecutive and that the root is the root of all lines. Returns the entry ids. */
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

/**
 * Asserts that every acknowledged change is complete, and that no change is partial. Returns the number of
 * acknowledged changes.
 */
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

describe("SQLite with several processes", () => {
  inFile(
    "loses no acknowledged change and leaves none partial on kill -9 at any moment (T21)",
    async (path) => {
      const pick = createRandom(20_260_115);
      const runs = Array.from({ length: long ? 100 : 5 }, (_, n) => `run${n}`);
      let acknowledged = 0;
      for (const prefix of runs) {
        const { printed, kill, ended } = run("write", path, prefix);
        await printed(1 + Math.floor(pick() * 60));
        setTimeout(kill, pick() * 10);
        const lines = await ended;
        const store = openSqlite({ path });
        acknowledged += await checkAcknowledged(store, lines, prefix);
        const ids = await checkLog(store);
        assert.equal(new Set(ids).size, ids.length);
        await store.close();
      }
      assert.ok(
        acknowledged > runs.length,
        `only ${acknowledged} changes were acknowledged before the kills`,
      );
    },
  );

  inFile(
    "recovers the state after some commit if the write-ahead log is truncated or overwritten",
    async (path) => {
      const pick = createRandom(20_260_116);
      const store = openSqlite({ path });
      const turns = 12;
      const before = readCommitEnds(path).length;
      for (let turn = 0; turn < turns; turn += 1) {
        await Promise.all([0, 1, 2].map((n) => store.commit(aWholeChange(`cut_${turn}_${n}`))));
        if (turn === 7) await store.log.sequence(20);
      }
      const wal = readFileSync(`${path}-wal`);
      const ends = readCommitEnds(path);
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

  inFile("lets one of three processes redeem each approved request (T18)", async (path) => {
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
    assert.deepEqual(
      tokens.map(({ record }) => record.requestId).sort(),
      approved.map(({ id }) => id).sort(),
    );
    const ids = await checkLog(store);
    assert.deepEqual(
      ids.filter((id) => id.startsWith("log ")).sort(),
      won.map((hash) => `log ${hash}`).sort(),
    );
    await store.close();
  });

  inFile("creates the schema once if several processes open a new file", async (path) => {
    assert.deepEqual(await runTogether(4, "open", path), Array(4).fill("committed"));
    const store = openSqlite({ path });
    assert.equal((await checkLog(store)).length, 4);
    await store.close();
  });

  inFile("rejects with the path if the disk is full, and loses no acknowledged change", async (path) => {
    await openSqlite({ path }).close();
    // The limit is in blocks of 512 or 1024 bytes, depending on the shell; both are reached after a few dozen
    // commits.
    const limited = `ulimit -f 1000; exec "$0" "$@"`;
    const { ended } = start("sh", ["-c", limited, process.execPath, program, "write", path, "full"]);
    const lines = await ended;
    assert.match(lines.at(-1) ?? "", /^fault .*countersign\.db: .*no space left/);
    const store = openSqlite({ path });
    assert.ok((await checkAcknowledged(store, lines, "full")) > 10);
    await checkLog(store);
    await store.close();
  });

  inFile(
    "a watcher does not keep its process alive, and an error of one does not affect others",
    async (path) => {
      const { ended } = run("watch", path);
      assert.deepEqual(await ended, ["heard", "uncaught from a listener", "committed"]);
    },
  );
});
