/**
 * The real server on a SQLite file, over HTTP, when the disk is full, the file cannot be written to, or is in somebody
 * else's hands: it refuses to start and says why, or answers 503, loses nothing and goes on by itself.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import {
  countEvents,
  createFaultHarness,
  type FaultHarness,
  type NodeReply,
  type ServerNode,
} from "@countersign/testing/process/fault-harness";
import { canRunAs } from "@countersign/testing/process/os-user";
import { toRequestId } from "@countersign/testing/server/deployment";

const newFolder = () => mkdtempSync(join(tmpdir(), "countersign-fault-"));
const root = process.geteuid?.() === 0;

/** Whether this machine lets us do that; what it does is undone by `undo`. */
function may(undo: readonly string[], command: string, ...words: string[]): boolean {
  try {
    execFileSync(command, words, { stdio: "ignore" });
    if (undo.length > 0) execFileSync(undo[0]!, undo.slice(1), { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
const trial = newFolder();
const mounts = root && may(["umount", trial], "mount", "-t", "tmpfs", "-o", "size=1m", "none", trial);
const limits = may([], "prlimit", "--pid", String(process.pid), "--fsize");
const canMakeImmutable = root && may(["chattr", "-i", trial], "chattr", "+i", trial);
rmSync(trial, { recursive: true });

function assertUnavailable({ status, headers, body }: NodeReply): void {
  assert.equal(status, 503, JSON.stringify(body));
  assert.equal(body.error, "temporarily_unavailable");
  assert.ok(Number(headers.get("retry-after")) > 0);
}

/** Asks until the answer is 503, and says what was acknowledged before. */
async function askUntilRefused(node: ServerNode, prefix: string): Promise<readonly string[]> {
  const tickets: string[] = [];
  for (let n = 0; n < 900; n += 1) {
    const asked = await node.ask(`${prefix}-${n}`);
    if (asked.status !== 200) {
      assertUnavailable(asked);
      return tickets;
    }
    tickets.push(asked.body.auth_req_id);
  }
  throw new Error("it never said that it cannot");
}

/** Asks the same again, as an agent does that was told 503, until it is acknowledged. */
async function askUntilTaken(node: ServerNode, order: string): Promise<string> {
  for (let tries = 0; tries < 100; tries += 1) {
    const asked = await node.ask(order);
    if (asked.status === 200) return asked.body.auth_req_id;
    assertUnavailable(asked);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it never went on");
}

/**
 * One request waits and one is approved; then nothing can be written, and then it can again. While it cannot, what takes a
 * write is 503 and what does not is answered; afterwards it goes on by itself, and all that was acknowledged is there once.
 */
async function endure(
  harness: FaultHarness,
  forbid: (node: ServerNode) => void,
  allow: (node: ServerNode) => void,
) {
  const node = await harness.start();
  const waiting = (await node.ask("waiting")).body.auth_req_id as string;
  const approved = (await node.ask("approved")).body.auth_req_id as string;
  assert.equal(await node.decide(toRequestId(approved)), 303);

  forbid(node);
  const acknowledged = await askUntilRefused(node, "during");
  assert.equal((await node.get("/livez")).status, 200);
  const pending = await node.poll(waiting);
  assert.equal(pending.body.error, "authorization_pending", JSON.stringify(pending.body));
  // A smaller change may still fit where an ask did not; then it counts.
  const tokens: string[] = [];
  for (let tries = 0; tries < 3; tries += 1) {
    const polled = await node.poll(approved);
    if (polled.status === 200) tokens.push(polled.body.access_token);
    else if (tokens.length === 0) assertUnavailable(polled);
  }
  const denied = await node.decide(toRequestId(waiting), "deny");
  assert.ok(denied === 303 || denied === 503, String(denied));
  await node.waitForStderr(/countersign\.db: /);
  const fault = node.readStderr();

  allow(node);
  const refused = await askUntilTaken(node, `during-${acknowledged.length}`);
  const last = await node.poll(approved);
  if (tokens.length === 0) {
    assert.equal(last.status, 200, JSON.stringify(last.body));
    tokens.push(last.body.access_token);
  } else assert.equal(last.body.error, "invalid_grant");
  const spent = await node.reserve(tokens[0]!, randomBytes(16).toString("base64url"));
  assert.equal(spent.status, 200, JSON.stringify(spent.body));
  if (denied === 503) assert.equal(await node.decide(toRequestId(waiting), "deny"), 303);
  await node.stop();

  const entries = await harness.readEntries();
  const count = (authReqId: string, event: string) => countEvents(entries, toRequestId(authReqId), event);
  for (const authReqId of [waiting, approved, ...acknowledged, refused])
    assert.equal(count(authReqId, "request.created"), 1);
  assert.equal(tokens.length, 1);
  assert.equal(count(approved, "token.issued"), 1);
  assert.equal(count(approved, "token.reserved"), 1);
  assert.equal(count(waiting, "request.denied"), 1);
  assert.equal(
    entries.filter(({ event }) => event === "request.created").length,
    acknowledged.length + 3,
    "what was refused is not there in another copy",
  );
  return fault;
}

describe("unavailable SQLite file", () => {
  test("returns 503 and does not start on a full disk, loses nothing, and recovers (T21)", {
    skip: !mounts && "takes an account that may mount a file system",
  }, async () => {
    const folder = newFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "none", folder]);
    const filler = join(folder, "filler");
    const fill = () => {
      for (const size of [65_536, 4_096])
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
        } catch (error) {
          assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
        }
    };
    const harness = await createFaultHarness(folder);
    try {
      const fault = await endure(harness, fill, () => rmSync(filler));
      assert.match(fault, /no space left/);
      fill();
      assert.match(await harness.readStartError(), /countersign\.db: .*no space left/);
      rmSync(filler);
      await (await harness.start()).stop();
    } finally {
      await harness.close().catch(() => {});
      execFileSync("umount", [folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("returns 503 at a file size limit, loses nothing, and recovers (T21)", {
    skip: limits
      ? mounts && !process.env.COUNTERSIGN_LONG && "a disk that is full is tried here"
      : "takes prlimit",
  }, async () => {
    const harness = await createFaultHarness(newFolder());
    const limit = ({ child }: ServerNode, bytes: number | "unlimited") =>
      execFileSync("prlimit", ["--pid", String(child.pid), `--fsize=${bytes}:`]);
    try {
      const fault = await endure(
        harness,
        (node) => limit(node, statSync(`${harness.file}-wal`).size + 100_000),
        (node) => limit(node, "unlimited"),
      );
      assert.match(fault, /no space left/);
    } finally {
      await harness.close();
    }
  });

  test("returns 503 and does not start on an immutable file, loses nothing, and recovers (T21)", {
    skip:
      !canMakeImmutable && "takes an account that may make a file immutable, and a file system that knows it",
  }, async () => {
    const harness = await createFaultHarness(newFolder());
    const freeze = (flag: "+i" | "-i") => {
      for (const file of [harness.file, `${harness.file}-wal`]) may([], "chattr", flag, file);
    };
    try {
      const fault = await endure(
        harness,
        () => freeze("+i"),
        () => freeze("-i"),
      );
      assert.match(fault, /I\/O error/);
      freeze("+i");
      assert.match(await harness.readStartError(), /countersign\.db: cannot be written/);
    } finally {
      freeze("-i");
      await harness.close();
    }
  });

  test("does not start on a file or in a directory without write permission, and reports it", async (context) => {
    const folder = newFolder();
    const harness = await createFaultHarness(folder);
    // Permissions do not bind root, so that as root the server runs as another account.
    const nobody = root ? 65_534 : undefined;
    if (nobody !== undefined && !canRunAs(nobody)) {
      context.skip("this checkout is closed to other accounts");
      return await harness.close();
    }
    try {
      chmodSync(harness.file, 0o444);
      assert.match(
        await harness.readStartError(nobody),
        /countersign\.db: (cannot be written|not writable) .*read-only/,
      );
      chmodSync(harness.file, 0o666);
      chmodSync(folder, 0o555);
      assert.match(
        await harness.readStartError(nobody),
        /countersign\.db: .*read-only|is its directory writable by this account/,
      );
    } finally {
      chmodSync(folder, 0o755);
      await harness.close();
    }
  });

  test("returns 503 for writes while another process holds the lock, and answers reads at once", async () => {
    const harness = await createFaultHarness(newFolder());
    try {
      const node = await harness.start();
      const waiting = (await node.ask("before")).body.auth_req_id as string;
      const other = new DatabaseSync(harness.file);
      other.exec("BEGIN IMMEDIATE");
      const asking = node.ask("during");
      for (let n = 0; n < 5; n += 1) {
        const startedAt = performance.now();
        assert.equal((await node.get("/livez")).status, 200);
        assert.match((await node.poll(waiting)).body.error, /authorization_pending|slow_down/);
        assert.ok(performance.now() - startedAt < 2_000, "nobody who writes nothing waits for the lock");
      }
      assertUnavailable(await asking);
      await node.waitForStderr(/countersign\.db: locked by another process/);
      other.exec("ROLLBACK");
      await askUntilTaken(node, "during");
      other.exec("BEGIN IMMEDIATE");
      const patient = node.ask("after");
      setTimeout(() => other.exec("COMMIT"), 500);
      assert.equal((await patient).status, 200, "a short lock is waited for");
      other.close();
      await node.stop();
      assert.equal(
        (await harness.readEntries()).filter(({ event }) => event === "request.created").length,
        3,
      );
    } finally {
      await harness.close();
    }
  });

  test("does not start on a file that another process has locked exclusively, and reports it", async () => {
    const harness = await createFaultHarness(newFolder());
    const other = new DatabaseSync(harness.file);
    try {
      other.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
      assert.match(await harness.readStartError(), /countersign\.db: locked by another process/);
      other.exec("COMMIT");
      other.close();
      await (await harness.start()).stop();
    } finally {
      await harness.close();
    }
  });
});

describe("two servers on one SQLite file", () => {
  test("wake each other's polls, and issue and spend each token once (T18)", async () => {
    const harness = await createFaultHarness(newFolder());
    try {
      const [one, other] = [await harness.start(), await harness.start()];
      const both = [one, other];
      const held = (await one.ask("held")).body.auth_req_id as string;
      const waiting = one.poll(held, { prefer: "wait=20" });
      assert.equal(await other.decide(toRequestId(held)), 303);
      assert.equal((await waiting).status, 200, "woken by what the other server wrote");

      const rounds = 12;
      const tickets = await Promise.all(
        Array.from({ length: rounds }, async (_, n) => {
          const asked = await both[n % 2]!.ask(`shared-${n}`);
          assert.equal(asked.status, 200, JSON.stringify(asked.body));
          return asked.body.auth_req_id as string;
        }),
      );
      await Promise.all(
        tickets.map(async (authReqId) => {
          const request = toRequestId(authReqId);
          const statuses = await Promise.all([
            one.decide(request, "approve"),
            other.decide(request, "approve"),
          ]);
          assert.ok(statuses.includes(303), String(statuses));
          const polls = [one, other, one, other].map((node) => node.poll(authReqId));
          const won = (await Promise.all(polls)).filter(({ status }) => status === 200);
          assert.equal(won.length, 1, "one token");
          const token = won[0]!.body.access_token as string;
          const spends = [one, other, one, other].map((node, n) => node.reserve(token, `${n}`.repeat(22)));
          const taken = (await Promise.all(spends)).filter(({ status }) => status === 200);
          assert.equal(taken.length, 1, "one spend");
        }),
      );
      await Promise.all(both.map((node) => node.stop()));
      for (const node of both)
        assert.equal(node.readStderr().match(/"level":"(error|fatal)"/g), null, node.readStderr());
      const entries = await harness.readEntries();
      for (const authReqId of tickets)
        for (const event of ["request.created", "request.approved", "token.issued", "token.reserved"])
          assert.equal(countEvents(entries, toRequestId(authReqId), event), 1, event);
    } finally {
      await harness.close();
    }
  });
});
