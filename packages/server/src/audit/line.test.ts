import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { splitLines } from "./audit.ts";

async function split(chunks: Iterable<Uint8Array>): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of splitLines(chunks)) lines.push(Buffer.from(line).toString());
  return lines;
}

describe("splitLines", () => {
  test("splits a file at newlines only, wherever its chunks end", async () => {
    const text = "first\n\u2028 se\rcond \u{1f4a1}\n\nlast\n";
    const bytes = Buffer.from(text);
    for (let size = 1; size <= bytes.length; size += 1) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      assert.deepEqual(await split(chunks), ["first", "\u2028 se\rcond \u{1f4a1}", "", "last"]);
    }
  });

  test("returns a last line without a newline", async () => {
    assert.deepEqual(await split([Buffer.from("a\nb")]), ["a", "b"]);
    assert.deepEqual(await split([]), []);
  });
});
