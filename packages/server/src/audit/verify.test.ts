import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  createTestLog,
  generateLogKeys,
  type TestLog,
  tamper,
  toVersion1,
  writeHistory,
} from "@countersign/testing/audit/test-log";
import { exportLog, type Line, splitLines, type VerifyOptions, verifyLog } from "./audit.ts";
import type { NewEntry } from "./new-entry.ts";

let book: TestLog;
let lines: string[];
let kept: string[]; // the notes of the three checkpoints of the history
before(async () => {
  book = createTestLog();
  await writeHistory(book);
  lines = await book.lines();
  kept = (await book.store.log.checkpoints()).map(({ note }) => note);
});
after(() => book.close());

async function problemsOf(
  input: Iterable<Line> | AsyncIterable<Line>,
  options?: VerifyOptions,
): Promise<string[]> {
  const verified = await verifyLog(input, options);
  return "problems" in verified ? verified.problems.map(({ message }) => message) : [];
}

/** Returns the index of the line with this entry. */
function rowOf(index: number): number {
  return lines.findIndex(
    (line) => line.endsWith(`"index":${index}}`) || line.includes(`"index":${index},"texts"`),
  );
}

describe("verifyLog", () => {
  test("verifies an export, and reports the key and the covered entries", async () => {
    assert.deepEqual(await verifyLog(lines, { key: book.key, checkpoints: kept.slice(0, 2) }), {
      ok: true,
      origin: "as.example/log",
      entries: book.entries.length,
      key: "trusted",
      upTo: 24,
      checked: { requests: 8, signatures: 1, texts: 21, erased: 0, checkpoints: 3, kept: 2 },
    });
  });

  test("uses the key of the export by default, and reports it", async () => {
    const verified = await verifyLog(lines);
    assert.ok("ok" in verified);
    assert.equal(verified.key, "own");
    assert.equal(verified.upTo, 0);
  });

  test("rejects an export with another key than the trusted one", async () => {
    const other = createTestLog(generateLogKeys());
    const forged = await tamper(other, book.entries);
    await other.close();
    assert.deepEqual(await problemsOf(forged), []);
    const problems = await problemsOf(forged, { key: book.key });
    assert.ok(problems.includes("the key of the header is not the trusted key"), problems.join("\n"));
    assert.ok(problems.some((what) => /is not signed by the log's key/.test(what)));
  });

  test("throws if the trusted key is not a verifier key", async () => {
    await assert.rejects(verifyLog(lines, { key: "as.example/log" }), TypeError);
    await assert.rejects(verifyLog([], { key: "as.example/log" }), TypeError);
  });

  test("detects any flipped byte of an export", async (t) => {
    const short = createTestLog();
    const ada = await short.enrol("apr_ada");
    const asked = await short.ask();
    await short.checkpoint();
    await short.sign(asked, ada);
    await short.spend(await short.issue(asked, "apr_ada"), "reserved");
    await short.checkpoint();
    const bytes = Buffer.from((await short.lines()).map((line) => `${line}\n`).join(""));
    await short.close();
    assert.deepEqual(await problemsOf(splitLines([bytes])), []);

    const seed = Number(process.env.COUNTERSIGN_SEED ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`COUNTERSIGN_SEED=${seed}, ${bytes.length} bytes`);
    const random = randomFrom(seed);
    const every = process.env.COUNTERSIGN_LONG === "1";
    const offsets = every ? bytes.keys() : Array.from({ length: 250 }, () => random(bytes.length));
    for (const at of offsets) {
      const flipped = Buffer.from(bytes);
      flipped[at] = flipped[at]! ^ (1 + random(255));
      const around = JSON.stringify(flipped.subarray(Math.max(0, at - 20), at + 20).toString("latin1"));
      const problems = await problemsOf(splitLines([flipped]));
      assert.notEqual(problems.length, 0, `seed ${seed}: byte ${at} became ${flipped[at]} in ${around}`);
    }
  });

  test("detects a removed entry, also if the rest is renumbered", async () => {
    const at = rowOf(12);
    const problems = await problemsOf(lines.toSpliced(at, 1));
    assert.ok(problems.includes("entry 13 is in the place of entry 12"));
    assert.ok(
      problems.includes("the first 24 entries do not match their checkpoint; the first 10 match theirs"),
    );

    const renumbered = lines.toSpliced(at, 1).map((line, row) => {
      const value = JSON.parse(line);
      if (row >= at && "index" in value) value.index -= 1;
      if (row === 0) value.size -= 1;
      return JSON.stringify(value, (_, member) => sorted(member));
    });
    const numbered = await problemsOf(renumbered);
    assert.deepEqual(
      numbered.filter((what) => /follows|in the place|announces/.test(what)),
      ["a checkpoint over 24 entries follows entry 22", "a checkpoint over 35 entries follows entry 33"],
    );
  });

  test("detects two swapped entries, with and without their indexes", async () => {
    const [a, b] = [rowOf(12), rowOf(13)];
    const moved = await problemsOf(lines.with(a, lines[b]!).with(b, lines[a]!));
    assert.ok(moved.includes("entry 13 is in the place of entry 12"));

    const number = (line: string, index: number) => line.replace(/"index":\d+(?=[,}])/, `"index":${index}`);
    const renumbered = lines.with(a, number(lines[b]!, 12)).with(b, number(lines[a]!, 13));
    const problems = await problemsOf(renumbered);
    assert.ok(
      problems.includes("the first 24 entries do not match their checkpoint; the first 10 match theirs"),
    );
  });

  test("detects an entry added after the last checkpoint", async () => {
    const row = lines[rowOf(0)]!.replace('"index":0', `"index":${book.entries.length}`);
    const problems = await problemsOf([...lines, row]);
    assert.ok(problems.includes("no checkpoint covers the last entry, 35"), problems.join("\n"));
  });

  test("detects truncation at an earlier checkpoint by a later one kept elsewhere", async () => {
    const cut = await tamper(book, book.entries.slice(0, 10));
    assert.deepEqual(await problemsOf(cut, { checkpoints: kept.slice(0, 1) }), []);
    assert.deepEqual(await problemsOf(cut, { checkpoints: kept.slice(0, 2) }), [
      "a checkpoint kept elsewhere covers 24 entries, but the log ends after 10",
    ]);
  });

  test("detects a rewritten, consistent log by a checkpoint kept elsewhere", async () => {
    const denied = book.entries.findIndex(({ entry }) => entry.event === "request.denied");
    const rewritten = createTestLog({ privateKey: book.privateKey, publicKey: book.publicKey });
    for (const [index, entry] of book.entries.entries()) {
      await rewritten.add(index === denied ? approvedInstead(entry) : entry);
      if (index === 9 || index === 23) await rewritten.checkpoint();
    }
    await rewritten.checkpoint();
    const forged = await rewritten.lines();
    await rewritten.close();

    const [before, after] = [kept[0]!, kept[1]!];
    assert.deepEqual(await problemsOf(forged, { key: book.key }), []);
    assert.deepEqual(await problemsOf(forged, { key: book.key, checkpoints: [after] }), [
      "the first 24 entries do not match the checkpoint kept elsewhere",
    ]);
    const verified = await verifyLog(forged, { key: book.key, checkpoints: [before] });
    assert.ok("ok" in verified);
    assert.equal(verified.upTo, 10); // what came before the denial is as it was
  });

  test("rejects a checkpoint kept elsewhere that another key signed", async () => {
    const other = createTestLog(generateLogKeys());
    await other.write("agent.added", { agent: "agent-1" });
    const note = await other.checkpoint();
    await other.close();
    assert.deepEqual(await problemsOf(lines, { key: book.key, checkpoints: [note] }), [
      "a checkpoint kept elsewhere is not signed by the key of this log",
    ]);
  });

  test("rejects a further signature on a checkpoint", async () => {
    const last = lines.length - 1;
    const note: string = JSON.parse(lines[last]!).checkpoint;
    const witnessed = `${note}— witness.example ${Buffer.alloc(68).toString("base64")}\n`;
    const problems = await problemsOf(lines.with(last, JSON.stringify({ checkpoint: witnessed })));
    assert.deepEqual(problems, [
      "the checkpoint after entry 34 has further signatures, which are not verified",
    ]);
  });

  test("detects a misplaced checkpoint", async () => {
    const at = rowOf(10) - 1;
    const moved = lines.toSpliced(at, 1).toSpliced(at + 1, 0, lines[at]!);
    assert.deepEqual(await problemsOf(moved), ["a checkpoint over 10 entries follows entry 10"]);
  });

  test("verifies a log with erased texts, and counts them", async () => {
    const erased = createTestLog();
    const asked = await erased.ask();
    await erased.decide(asked, "apr_bob", "denied");
    await erased.checkpoint();
    await erased.store.log.eraseTexts(erased.entries[0]!.entry.id);
    const left = await erased.lines();
    await erased.close();
    assert.ok(!left.join().includes("10,000.00"));
    const verified = await verifyLog(left);
    assert.ok("ok" in verified);
    assert.deepEqual([verified.checked.texts, verified.checked.erased], [1, 2]);
  });

  test("detects a changed, added or missing text", async () => {
    const row = lines.findIndex((line) => line.includes("request.created"));
    const change = (alter: (texts: any) => void) => {
      const value = JSON.parse(lines[row]!);
      alter(value.texts);
      return lines.with(
        row,
        JSON.stringify(value, (_, member) => sorted(member)),
      );
    };
    const cases: [(texts: any) => void, string][] = [
      [(texts) => (texts.sentence.text = "Refund $1.00"), "the text sentence does not match its commitment"],
      [(texts) => (texts.reason = texts.sentence), "the entry has no text reason"],
      [(texts) => delete texts.sentence, "the text sentence is missing, while others are present"],
    ];
    for (const [alter, what] of cases) assert.deepEqual(await problemsOf(change(alter)), [what]);
  });

  test("reports invalid lines by position", async () => {
    const faults: [Line, string][] = [
      [`${lines[2]} `, "the line after entry 0 is not in canonical form"],
      ['{"entry":"a","entry":"b","index":1}', "the line after entry 0 is not unambiguous JSON"],
      ["", "the line after entry 0 is not unambiguous JSON"],
      [Buffer.from([0x22, 0xff, 0x22]), "the line after entry 0 is not UTF-8"],
      ['{"note":"hello"}', "the line after entry 0 is neither a header, an entry nor a checkpoint"],
      [lines[0]!, "a second header follows entry 0"],
    ];
    for (const [line, what] of faults)
      assert.deepEqual(await problemsOf((lines as Line[]).toSpliced(2, 0, line)), [what]);
  });

  test("does not shift the entries after an unreadable line", async () => {
    const at = rowOf(book.entries.length - 2);
    assert.deepEqual(await problemsOf(lines.with(at, "{")), [
      "the line after entry 32 is not unambiguous JSON",
      "the first 35 entries do not match their checkpoint; the first 24 match theirs",
      "the header announces 35 entries, but there are 34",
    ]);
  });

  test("reports malformed entries and entries not in canonical form", async () => {
    const leaf: string = JSON.parse(lines[1]!).entry;
    const faults: [string, string][] = [
      ["[]", "the entry does not have the members of an entry"],
      [leaf.replace('"v":2', '"v":3'), "the entry does not have the members of an entry"],
      [leaf.replace('"v":2', '"v":1'), "the entry does not have the members of an entry"],
      [leaf.replace('"v":2', '"v":2,"w":1'), "the entry does not have the members of an entry"],
      [leaf.replace(/"actor":\{.*?\},/, ""), "the entry does not have the members of an entry"],
      [leaf.replace('"type":"admin"', '"type":"daemon"'), "the entry does not have the members of an entry"],
      [leaf.replace('"via":"cli"', '"via":""'), "the entry does not have the members of an entry"],
      [leaf.replace('"via":"cli"', '"via":"cli","x":1'), "the entry does not have the members of an entry"],
      [leaf.replace('"at":', '"at": '), "the entry is not in canonical form"],
      [leaf.slice(1), "the entry is not unambiguous JSON"],
    ];
    for (const [entry, what] of faults) {
      const problems = await problemsOf(lines.with(1, JSON.stringify({ entry, index: 0 })));
      assert.ok(problems.includes(what), problems.join("\n"));
    }
  });

  test("verifies entries of version 1 with former event names, also continued in version 2", async () => {
    const upgraded = Math.floor(book.entries.length / 2);
    const former = book.entries.map(toVersion1);
    assert.ok(former.some(({ entry }) => entry.event === "latch.reopened"));
    for (const entries of [former, [...former.slice(0, upgraded), ...book.entries.slice(upgraded)]]) {
      const verified = await verifyLog(await tamper(book, entries));
      assert.ok("ok" in verified, JSON.stringify(verified));
      assert.equal(verified.entries, book.entries.length);
      assert.equal(verified.checked.signatures, 1);
    }
  });

  test("rejects an actor in an entry of version 1", async () => {
    const [first, ...rest] = book.entries;
    const { texts } = first!;
    const entry = { ...first!.entry, v: 1 } as unknown as NewEntry["entry"];
    assert.deepEqual(await problemsOf(await tamper(book, [{ entry, texts }, ...rest])), [
      "the entry does not have the members of an entry",
    ]);
  });

  test("rejects an export without header, without end, and an empty one", async () => {
    assert.deepEqual(await problemsOf([]), ["the export is empty"]);
    const headless = await problemsOf(lines.slice(1));
    assert.ok(headless.includes("the first line is not the header of an export"), headless.join("\n"));
    const endless = await problemsOf(lines.slice(0, -1));
    assert.deepEqual(endless, ["no checkpoint covers the last entry, 34"]);
    const shorter = await problemsOf([lines[0]!]);
    assert.deepEqual(shorter, ["the header announces 35 entries, but there are 0"]);
  });

  test("rejects a header whose key, origin, version or size is wrong", async () => {
    const header = JSON.parse(lines[0]!);
    const change = (changed: object) =>
      problemsOf(
        lines.with(
          0,
          JSON.stringify({ ...header, ...changed }, (_, member) => sorted(member)),
        ),
      );
    assert.ok(
      (await change({ key: "as.example/log" })).includes("the key of the header is not a verifier key"),
    );
    assert.deepEqual(await change({ origin: "as.example" }), [
      "the origin of the header differs from its key",
    ]);
    const version = await change({ countersign_log: 2 });
    assert.ok(
      version.includes("the first line is neither a header, an entry nor a checkpoint"),
      version.join("\n"),
    );
    assert.deepEqual(await change({ size: 34 }), ["the header announces 34 entries, but there are 35"]);
  });

  test("exports no entry of a log without a checkpoint", async () => {
    const fresh = createTestLog();
    await fresh.ask();
    const [header, ...rest] = await fresh.lines();
    await fresh.close();
    assert.deepEqual(rest, []);
    const verified = await verifyLog([header!]);
    assert.ok("ok" in verified);
    assert.equal(verified.entries, 0);
  });

  test("does not export entries that no checkpoint covers yet", async () => {
    const growing = createTestLog();
    await growing.ask();
    await growing.checkpoint();
    await growing.ask();
    await growing.store.log.sequence(10);
    const verified = await verifyLog(await growing.lines());
    await growing.close();
    assert.ok("ok" in verified);
    assert.equal(verified.entries, 1);
  });

  test("reads a long log in pages, each entry once", async () => {
    const entries: NewEntry[] = Array.from({ length: 1_203 }, (_, n) => ({
      entry: { v: 1, id: `log_${n}`, at: n, event: "agent.added" },
      texts: {},
    }));
    const verified = await verifyLog(await tamper(book, entries, [1, 700]));
    assert.ok("ok" in verified);
    assert.equal(verified.entries, 1_203);
  });

  test("throws if the store has lost entries that a checkpoint covers", async () => {
    const source = { entries: () => [], checkpoints: () => [{ size: 3, note: kept[0]! }] };
    const read = async () => {
      for await (const _ of exportLog(source, book.key));
    };
    await assert.rejects(read, /ends after 0/);
  });

  test("stops after a hundred problems, and quotes only printable ASCII", async () => {
    const entries: NewEntry[] = Array.from({ length: 150 }, (_, n) => ({
      entry: { v: 1, id: `log_${n}`, at: n, event: "request.denied\u001b[2J\u202e", request: "req\u001b]0;" },
      texts: {},
    }));
    const problems = await problemsOf(await tamper(book, entries));
    assert.equal(problems.length, 100);
    for (const what of problems) assert.match(what, /^[\x20-\x7e]+$/);
  });
});

function approvedInstead({ entry, texts }: NewEntry): NewEntry {
  return {
    entry: { ...entry, event: "request.approved", facts: { ...entry.facts, level: "session" } },
    texts,
  };
}

/** Creates a seeded generator of integers below `limit` (mulberry32). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** Returns the object with its members in canonical order, for JSON.stringify. */
function sorted(member: unknown): unknown {
  if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
  return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
}
