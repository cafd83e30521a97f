import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hashJson, type SignedDecision } from "@countersign/protocol";
import {
  type AskedRequest,
  type Changed,
  createTestLog,
  type PasskeySigner,
  type TestLog,
} from "@countersign/testing/audit/test-log";
import type { CeremonyFault } from "@countersign/testing/browser/virtual-authenticator";
import { verifyLog } from "./audit.ts";

/** Returns the problems of a log with a request at level passkey-signed and the entries that `write` adds. */
async function problemsOf(
  write: (book: TestLog, ada: PasskeySigner, asked: AskedRequest) => Promise<unknown>,
  request: Changed = { facts: { level: "passkey-signed" } },
): Promise<string[]> {
  const book = createTestLog();
  const ada = await book.enrol("apr_ada");
  const asked = await book.ask(request);
  await write(book, ada, asked);
  await book.checkpoint();
  const verified = await verifyLog(await book.lines(), { key: book.key });
  await book.close();
  return "problems" in verified ? verified.problems.map(({ message }) => message) : [];
}

const disproved = "the signature does not approve req_1 with this digest and this card by apr_ada";
const notEnrolled = "req_1 was signed with a device that was not enrolled for apr_ada at that time";

describe("signatures in the log", () => {
  test("verifies an approval signed for this request, digest, card and approver", async () => {
    assert.deepEqual(await problemsOf((book, ada, asked) => book.sign(asked, ada)), []);
  });

  const otherDecisions: { readonly [title: string]: Partial<SignedDecision> } = {
    "detects an approval signed for another request (T10)": { request: "req_2" },
    "detects an approval signed for another digest (T9)": { digest: hashJson("another action") },
    "detects an approval signed for another card (T16)": { card: hashJson("another card") },
    "detects an approval signed for another approver (T1)": { approver: "apr_bob" },
    "detects an approval signed in another ceremony": { nonce: "AAAAAAAAAAAAAAAAAAAAAA" },
  };
  for (const [title, signed] of Object.entries(otherDecisions))
    test(title, async () => {
      assert.deepEqual(await problemsOf((book, ada, asked) => book.sign(asked, ada, { signed })), [
        disproved,
      ]);
    });

  const ceremonyFaults: { readonly [title: string]: CeremonyFault } = {
    "detects an approval signed on another site's page": { origin: "https://as.example.evil" },
    "detects an approval signed by a passkey of another site": { rpId: "evil.example" },
    "detects an approval without user verification": { unverified: true },
  };
  for (const [title, assertion] of Object.entries(ceremonyFaults))
    test(title, async () => {
      assert.deepEqual(await problemsOf((book, ada, asked) => book.sign(asked, ada, { assertion })), [
        disproved,
      ]);
    });

  test("accepts a passkey with a signature counter", async () => {
    const counted = (book: TestLog, ada: PasskeySigner, asked: AskedRequest) =>
      book.sign(asked, ada, { assertion: { counter: 41 } });
    assert.deepEqual(await problemsOf(counted), []);
  });

  test("detects an approval signed with another approver's device", async () => {
    const borrowed = async (book: TestLog, _: PasskeySigner, asked: AskedRequest) => {
      const bob = await book.enrol("apr_bob");
      await book.sign(asked, { id: "apr_ada", passkey: bob.passkey });
    };
    assert.deepEqual(await problemsOf(borrowed), [notEnrolled]);
  });

  test("detects an approval signed with a removed device", async () => {
    const removed = async (book: TestLog, ada: PasskeySigner, asked: AskedRequest) => {
      await book.write("device.removed", { approver: "apr_ada", facts: { credential: ada.passkey.id } });
      await book.sign(asked, ada);
    };
    assert.deepEqual(await problemsOf(removed), [notEnrolled]);
  });

  test("detects an approval signed with a device before its enrolment", async () => {
    const tooEarly = async (book: TestLog, _: PasskeySigner, asked: AskedRequest) => {
      const other = createTestLog();
      const stranger = await other.enrol("apr_ada");
      await other.close();
      await book.sign(asked, stranger);
      await book.add(other.entries[0]!);
    };
    assert.deepEqual(await problemsOf(tooEarly), [notEnrolled]);
  });

  test("detects a passkey that was enrolled with another public key", async () => {
    const swapped = async (book: TestLog, ada: PasskeySigner, asked: AskedRequest) => {
      const other = await book.enrol("apr_ada");
      const facts = { ...book.entries.at(-1)!.entry.facts, credential: ada.passkey.id };
      await book.write("device.removed", { approver: "apr_ada", facts: { credential: ada.passkey.id } });
      await book.write("device.enrolled", { approver: other.id, facts });
      await book.sign(asked, ada);
    };
    assert.deepEqual(await problemsOf(swapped), [disproved]);
  });

  test("verifies a signature also where none was required", async () => {
    const needless =
      (signed: Partial<SignedDecision>) => (book: TestLog, ada: PasskeySigner, asked: AskedRequest) =>
        book.sign(asked, ada, { signed, level: "passkey" });
    const rules = { facts: { level: "passkey" } };
    assert.deepEqual(await problemsOf(needless({}), rules), []);
    assert.deepEqual(await problemsOf(needless({ request: "req_2" }), rules), [disproved]);
  });

  test("detects a signed approval without a signature", async () => {
    const facts = { level: "passkey-signed" };
    const unsigned = (book: TestLog, _: PasskeySigner, asked: AskedRequest) =>
      book.decide(asked, "apr_ada", "approved", { facts });
    assert.deepEqual(await problemsOf(unsigned), ["req_1 was approved by signature, but the entry has none"]);
    const partly = (book: TestLog, ada: PasskeySigner, asked: AskedRequest) =>
      book.decide(asked, "apr_ada", "approved", {
        facts: { ...facts, evidence: { credential: ada.passkey.id, nonce: "n" } },
      });
    assert.deepEqual(await problemsOf(partly), ["the signature of req_1 is incomplete"]);
  });

  test("detects a card text that does not match its hash (T16)", async () => {
    const other = (card: string) => (book: TestLog) => book.ask({ about: { texts: { card } } });
    const wrong = ["the text of the card does not match the hash of the card"];
    assert.deepEqual(await problemsOf(other('{"v":1}')), wrong);
    assert.deepEqual(await problemsOf(other("$1.00")), ["the text of the card is not a card"]);
    const digest = hashJson("another action");
    const showsOther = (book: TestLog) =>
      book.ask({
        about: { texts: { card: JSON.stringify({ digest }) } },
        facts: { card_hash: hashJson({ digest }) },
      });
    assert.deepEqual(await problemsOf(showsOther), [
      "the digest on the card differs from the digest of the request",
    ]);
  });
});
