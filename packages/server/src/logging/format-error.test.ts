import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeFault, formatError, redactMessage } from "./format-error.ts";

describe("formatError", () => {
  test("formats only class, codes, message and positions of an error", () => {
    const fault = Object.assign(new TypeError("it failed"), {
      code: "ERR_IT",
      config: { headers: { authorization: "Bearer secret" } },
      parameters: ["ada@example.com"],
      input: "postgres://a:b@c",
    });
    const described = describeFault(fault);
    assert.deepEqual(
      { ...described, at: [] },
      { type: "TypeError", message: "it failed", code: "ERR_IT", at: [] },
    );
    assert.match(described.at[0] ?? "", /^at .*format-error\.test\.ts:\d+:\d+\)?$/);
  });

  test("formats a chain of at most five causes", () => {
    const chain = [1, 2, 3, 4, 5, 6].reduce<Error | undefined>(
      (cause, n) => new Error(`number ${n}`, { cause }),
      undefined,
    );
    const text = formatError(describeFault(chain)).join("\n");
    assert.match(text, /^Error: number 6\n {4}at /);
    assert.match(text, /\ncaused by: Error: number 2\n/);
    assert.doesNotMatch(text, /number 1/);
    assert.match(
      formatError(describeFault(new AggregateError([new Error("the first")]))).join("\n"),
      /the first/,
    );
  });

  test("formats a thrown value that is not an error", () => {
    assert.deepEqual(describeFault("ada@example.com did it"), {
      type: "string",
      message: "[address] did it",
      at: [],
    });
  });

  test("ignores a line of a multi-line message that resembles a stack frame", () => {
    const described = describeFault(new Error("first\n    at secret (/etc/passwd)\nthird"));
    assert.ok(described.at.every((frame) => !frame.includes("secret")));
  });

  const cases: readonly (readonly [message: string, redacted: string])[] = [
    ["connect ECONNREFUSED 127.0.0.1:5432", "connect ECONNREFUSED 127.0.0.1:5432"],
    [
      "postgres://db.example:5432/countersign: connection refused",
      "postgres://db.example:5432/countersign: connection refused",
    ],
    ["postgres://account:hunter2@db.example/countersign", "postgres://db.example/countersign"],
    [
      "the keys at https://a.example/jwks?tenant=7#x cannot be used",
      "the keys at https://a.example/jwks cannot be used",
    ],
    ["550 no mailbox <ada.lovelace+x@example.com>", "550 no mailbox <[address]>"],
    [
      'Headers.append: "two words" is an invalid header value.',
      'Headers.append: "…" is an invalid header value.',
    ],
    ['relation "countersign.record" does not exist', 'relation "countersign.record" does not exist'],
    ["req_01kb2m3n4p5q6r7s8t9v0w1x2y.c2VjcmV0LXByb29m was lost", "req_01kb2m3n4p5q6r7s8t9v0w1x2y was lost"],
    ["Basic YWdlbnQtMTpzZWNyZXQtMTIz", "Basic […]"],
    ["eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl1234", "[…]"],
    [`key ${"0123456789abcdef".repeat(4)}`, "key […]"],
    [
      "the file /var/lib/countersign-data/countersign.db is damaged",
      "the file /var/lib/countersign-data/countersign.db is damaged",
    ],
  ];
  for (const [message, redacted] of cases)
    test(`redacts the values of "${message.slice(0, 40)}…"`, () => {
      assert.equal(redactMessage(message), redacted);
    });

  test("removes quotations from parser errors and SQLSTATE 22 and 23", () => {
    const unreadable = (() => {
      try {
        return JSON.parse("secret");
      } catch (error) {
        return error;
      }
    })();
    assert.doesNotMatch(JSON.stringify(describeFault(unreadable).message), /secret/);
    const misfit = Object.assign(new Error('invalid input syntax for type bigint: "lovelace"'), {
      code: "22P02",
    });
    assert.equal(describeFault(misfit).message, 'invalid input syntax for type bigint: "…"');
  });

  test("cuts a message at 500 characters", () => {
    assert.ok(describeFault(new Error("word ".repeat(5000))).message.length <= 500);
  });
});
