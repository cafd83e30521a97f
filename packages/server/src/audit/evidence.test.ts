import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type AskedRequest,
  createTestLog,
  generateLogKeys,
  type PasskeySigner,
  type TestLog,
  toVersion1,
  writeHistory,
} from "@countersign/testing/audit/test-log";
import { exportEvidence, verifyEvidence } from "./audit.ts";

let book: TestLog;
let ada: PasskeySigner;
let signed: AskedRequest;
let text: string;
before(async () => {
  book = createTestLog();
  ({ ada, signed } = await writeHistory(book));
  text = await evidenceOf(book, signed.id);
});
after(() => book.close());

async function evidenceOf(from: TestLog, request: string): Promise<string> {
  const document = await exportEvidence(from.store.log, from.key, request);
  assert.equal(typeof document, "string", JSON.stringify(document));
  return document as string;
}

async function problemsOf(document: string, options?: { key?: string }): Promise<string[]> {
  const verified = await verifyEvidence(document, options);
  return "problems" in verified ? verified.problems.map(({ message }) => message) : [];
}

/** Returns the document after a change. */
function changed(alter: (document: any) => void): string {
  const document = JSON.parse(text);
  alter(document);
  return JSON.stringify(document);
}

describe("evidence", () => {
  test("returns card, decision, token and state of a signed approval", async () => {
    const verified = await verifyEvidence(text, { key: book.key });
    assert.ok("ok" in verified, JSON.stringify(verified));
    const { entries, card, decision, ...rest } = verified;
    assert.deepEqual(rest, {
      ok: true,
      origin: "as.example/log",
      key: "trusted",
      size: book.entries.length,
      request: signed.id,
      state: "redeemed",
      token: { id: "tok_2", state: "completed" },
    });
    const approved = entries.find(({ entry }) => entry.event === "request.approved")!.entry;
    assert.deepEqual(decision, { verdict: "approve", approver: ada.id, at: approved.at, signed: true });
    assert.equal(card?.digest, signed.digest);
    assert.deepEqual(
      entries.map(({ entry }) => entry.event.split(".")[1]),
      ["enrolled", "created", "sent", "approved", "issued", "refused", "reserved", "completed"],
    );
  });

  test("contains no device name and no other request", () => {
    assert.ok(!text.includes("apr_ada's phone"));
    assert.ok(!text.includes("req_3"));
  });

  test("accepts other whitespace in evidence", async () => {
    assert.deepEqual(await problemsOf(JSON.stringify(JSON.parse(text), undefined, 2)), []);
  });

  test("uses the key of the document by default, and reports it", async () => {
    const verified = await verifyEvidence(text);
    assert.ok("ok" in verified);
    assert.equal(verified.key, "own");
    const other = createTestLog(generateLogKeys());
    await other.close();
    assert.deepEqual(await problemsOf(text, { key: other.key }), [
      "the key of the document is not the trusted key",
    ]);
    await assert.rejects(verifyEvidence(text, { key: "none" }), TypeError);
  });

  test("returns evidence for every request, without a token for a denied one", async () => {
    for (const { entry } of book.entries) {
      if (entry.event !== "request.created") continue;
      assert.deepEqual(await problemsOf(await evidenceOf(book, entry.request!)), []);
    }
    const denied = book.entries.find(({ entry }) => entry.event === "request.denied")!.entry;
    const verified = await verifyEvidence(await evidenceOf(book, denied.request!));
    assert.ok("ok" in verified);
    assert.deepEqual(
      [verified.state, verified.decision?.verdict, verified.token],
      ["denied", "deny", undefined],
    );
  });

  test("lists a device that was enrolled while the request was pending in log order", async () => {
    const late = createTestLog();
    const asked = await late.ask({ facts: { level: "passkey-signed" } });
    await late.sign(asked, await late.enrol("apr_bob"));
    await late.checkpoint();
    assert.deepEqual(await problemsOf(await evidenceOf(late, asked.id)), []);
    await late.close();
  });

  test("finds the last of several enrolments, also one long ago", async () => {
    const long = createTestLog();
    const bob = await long.enrol("apr_bob");
    const { facts } = long.entries[0]!.entry;
    await long.write("device.removed", { approver: "apr_bob", facts: { credential: bob.passkey.id } });
    await long.write("device.enrolled", { approver: "apr_bob", facts });
    for (let n = 0; n < 600; n += 1)
      await long.write("approver.signed_in", { approver: "apr_bob", facts: { n } });
    const asked = await long.ask({ facts: { level: "passkey-signed" } });
    await long.sign(asked, bob);
    await long.checkpoint();
    const verified = await verifyEvidence(await evidenceOf(long, asked.id));
    await long.close();
    assert.ok("ok" in verified);
    assert.equal(verified.entries[0]?.index, 2);
  });

  test("verifies evidence with erased texts, without the card", async () => {
    const erased = createTestLog();
    const asked = await erased.ask();
    await erased.checkpoint();
    await erased.store.log.eraseTexts(erased.entries[0]!.entry.id);
    const verified = await verifyEvidence(await evidenceOf(erased, asked.id));
    await erased.close();
    assert.ok("ok" in verified);
    assert.equal(verified.card, undefined);
  });

  test("refuses evidence for a request that is unknown or has no checkpoint yet", async () => {
    const fresh = createTestLog();
    const asked = await fresh.ask();
    const refused = (request: string) => exportEvidence(fresh.store.log, fresh.key, request);
    assert.deepEqual(await refused("req_0"), { refused: "unknown_request" });
    assert.deepEqual(await refused(asked.id), { refused: "not_checkpointed" });
    await fresh.checkpoint();
    assert.equal(typeof (await refused(asked.id)), "string");
    const next = await fresh.ask();
    assert.deepEqual(await refused(next.id), { refused: "not_checkpointed" });
    await fresh.close();
  });

  test("detects any flipped byte of evidence", async () => {
    const bytes = Buffer.from(text);
    const step = process.env.COUNTERSIGN_LONG === "1" ? 1 : 53;
    for (let at = 0; at < bytes.length; at += step) {
      const flipped = Buffer.from(bytes);
      flipped[at] = flipped[at]! ^ (1 << (at % 7));
      const problems = await problemsOf(flipped.toString());
      const around = flipped.subarray(Math.max(0, at - 20), at + 20).toString("latin1");
      assert.notEqual(problems.length, 0, `byte ${at} became ${flipped[at]} in ${JSON.stringify(around)}`);
    }
  });

  const entryAt = (document: any, event: string) =>
    document.entries.find(({ entry }: any) => entry.includes(event));
  const unproved = "the inclusion proof of the entry does not hold";
  const forgeries: { readonly [what: string]: readonly [(document: any) => void, string] } = {
    "an entry that is not in the log": [
      (document) => {
        const row = entryAt(document, "token.completed");
        row.entry = row.entry.replace("token.completed", "token.failed");
      },
      unproved,
    ],
    "an entry at another index": [(document) => (entryAt(document, "token.issued").index += 1), unproved],
    "entries in another order": [(document) => document.entries.reverse(), "the entry is out of order"],
    "an entry twice": [
      (document) => document.entries.push(document.entries.at(-1)),
      "the entry is out of order",
    ],
    "evidence for another request": [
      (document) => (document.request = "req_3"),
      "the entry is not about this request",
    ],
    "a request without its creation": [
      (document) => (document.entries = document.entries.slice(0, 1)),
      "the request's creation is missing",
    ],
    "a signature without the device's enrolment": [
      (document) => document.entries.shift(),
      "req_1 was signed with a device that was not enrolled for apr_ada at that time",
    ],
    "another text than the committed one": [
      (document) => (entryAt(document, "request.created").texts.sentence.text = "Refund $1.00"),
      "the text sentence does not match its commitment",
    ],
    "a checkpoint with a wrong signature": [
      (document) => (document.checkpoint = document.checkpoint.replace("\n35\n", "\n36\n")),
      "the checkpoint is not signed by the log's key",
    ],
    "an invalid key": [(document) => (document.key += "A"), "the key of the document is not a verifier key"],
    "another origin": [
      (document) => (document.origin = "as.other"),
      "the origin of the document differs from its key",
    ],
    "an unknown member": [
      (document) => (document.entries[0].note = "hello"),
      "the document lacks members, or has unknown ones",
    ],
    "a document of another kind": [
      (document) => (document.countersign_evidence = 2),
      "this is not an evidence document",
    ],
  };

  for (const [what, [alter, problem]] of Object.entries(forgeries)) {
    test(`rejects evidence with ${what}`, async () => {
      const problems = await problemsOf(changed(alter));
      assert.ok(problems.includes(problem), problems.join("\n"));
    });
  }

  test("rejects evidence that is not JSON", async () => {
    assert.deepEqual(await problemsOf("-----BEGIN"), ["the document is not unambiguous JSON"]);
  });

  test("verifies the evidence of a request in entries of version 1", async () => {
    const { privateKey, publicKey } = book;
    const former = createTestLog({ privateKey, publicKey });
    for (const entry of book.entries) await former.add(toVersion1(entry));
    await former.checkpoint();
    const verified = await verifyEvidence(await evidenceOf(former, signed.id), { key: book.key });
    await former.close();
    assert.ok("ok" in verified, JSON.stringify(verified));
    assert.equal(verified.decision?.approver, ada.id);
    assert.deepEqual([...new Set(verified.entries.map(({ entry }) => entry.v))], [1]);
  });
});
