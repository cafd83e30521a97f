import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Actor, commitText, type Entry, entryLine, opensCommitment } from "./entry.ts";

const entry: Entry = {
  v: 1,
  id: "e1",
  at: 1764000000000,
  event: "request_denied",
  request: "r1",
  facts: { b: 1, a: [2] },
};

describe("log entries", () => {
  test("writes an entry as one line of canonical JSON", () => {
    assert.equal(
      entryLine(entry),
      '{"at":1764000000000,"event":"request_denied","facts":{"a":[2],"b":1},"id":"e1","request":"r1","v":1}',
    );
    assert.doesNotMatch(entryLine({ ...entry, event: "a\nb", facts: { "c\nd": "e\nf" } }), /\n/);
  });

  test("writes the actor of an entry into its line", () => {
    const line = (actor: Actor) => entryLine({ ...entry, v: 2, actor });
    assert.match(
      line({ type: "agent", id: "a1", via: "oauth" }),
      /^\{"actor":\{"id":"a1","type":"agent","via":"oauth"\},/,
    );
    assert.match(
      line({ type: "system", id: undefined, via: "job" } as Actor),
      /^\{"actor":\{"type":"system","via":"job"\},/,
    );
    assert.match(
      line({ type: "admin", via: "cli", mail: "x" } as Actor),
      /^\{"actor":\{"type":"admin","via":"cli"\},/,
    );
  });

  test("omits an undefined member, and keeps an empty one", () => {
    assert.equal(entryLine({ ...entry, agent: undefined, texts: undefined } as Entry), entryLine(entry));
    assert.notEqual(entryLine({ ...entry, texts: {} }), entryLine(entry));
    assert.notEqual(entryLine({ ...entry, agent: "" }), entryLine(entry));
  });

  test("omits members that an entry does not declare", () => {
    assert.equal(entryLine({ ...entry, mail: "anna@example.com" } as Entry), entryLine(entry));
  });

  test("rejects an entry that is not canonical JSON", () => {
    assert.throws(() => entryLine({ ...entry, at: 1.5 }), /\$\.at is not a safe integer/);
    assert.throws(() => entryLine({ ...entry, id: undefined as unknown as string }), /\$\.id is not JSON/);
    assert.throws(
      () => entryLine({ ...entry, facts: { to: "\ud800" } }),
      /\$\.facts\.to contains a lone surrogate/,
    );
  });

  test("opens a commitment with its text and its salt, and with nothing else", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (text, other) => {
        const { commitment, salt } = commitText(text);
        assert.equal(opensCommitment(commitment, text, salt), true);
        assert.equal(opensCommitment(commitment, other, salt), text === other);
        assert.equal(opensCommitment(commitment, text, commitText(text).salt), false);
      }),
    );
  });

  test("makes two commitments to one text differ, so that it cannot be guessed from the log", () => {
    const [one, other] = [commitText("yes"), commitText("yes")];
    assert.notEqual(one.commitment, other.commitment);
    assert.notEqual(one.salt, other.salt);
    assert.equal(Buffer.from(one.salt, "base64url").length, 32);
  });

  test("prevents bytes from moving between text and salt", () => {
    const { commitment, salt } = commitText("approve 10", Buffer.alloc(32, 7));
    const bytes = Buffer.from(salt, "base64url");
    const longer = Buffer.concat([bytes, Buffer.from("approve ")]).toString("base64url");
    assert.equal(opensCommitment(commitment, "10", longer), false);
    const shorter = bytes.subarray(0, 31).toString("base64url");
    assert.equal(opensCommitment(commitment, `${String.fromCharCode(7)}approve 10`, shorter), false);
    assert.equal(opensCommitment(commitment, "approve 10", `${salt}=`), false);
    for (const length of [0, 31, 33]) assert.throws(() => commitText("x", new Uint8Array(length)), TypeError);
  });

  test("rejects a text that UTF-8 cannot encode", () => {
    const { commitment, salt } = commitText("\ufffd");
    assert.throws(() => commitText("\ud800"), TypeError);
    assert.equal(opensCommitment(commitment, "\ud800", salt), false);
  });
});
