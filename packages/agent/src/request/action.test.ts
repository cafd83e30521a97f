import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findWidenedPath, listNarrowedFields } from "./action.ts";

const asked = {
  type: "payout",
  amount: "100.00",
  pieces: 3,
  currency: "USD",
  recipients: ["a@x.example", "b@x.example"],
  rush: false,
  window: { from: "mon", days: 5 },
  note: "advisory",
};

describe("action", () => {
  test("accepts the same action or a narrower one", () => {
    const { note: _, ...bound } = asked;
    for (const granted of [
      asked,
      bound,
      { ...bound, amount: "80.5" },
      { ...bound, pieces: 1 },
      { ...bound, recipients: ["b@x.example"] },
      { ...bound, window: { from: "mon", days: 2 } },
    ])
      assert.equal(findWidenedPath(asked, granted), undefined);
  });

  test("returns the path of another type, a new field, another text and a new list member (T9)", () => {
    const cases: [object, string][] = [
      [{ ...asked, type: "refund" }, "action.type"],
      [{ ...asked, fee: "1" }, "action.fee"],
      [{ ...asked, currency: "EUR" }, "action.currency"],
      [{ ...asked, recipients: ["b@x.example", "c@x.example"] }, "action.recipients[1]"],
      [{ ...asked, rush: true }, "action.rush"],
      [{ ...asked, window: { from: "mon", days: 5, until: "fri" } }, "action.window.until"],
      [{ ...asked, recipients: "a@x.example" }, "action.recipients"],
      [{ ...asked, window: null }, "action.window"],
    ];
    for (const [granted, path] of cases) assert.equal(findWidenedPath(asked, granted as never), path);
  });

  test("rejects a number returned as a string, and a string returned as a number (T13)", () => {
    assert.equal(findWidenedPath(asked, { ...asked, pieces: "3" }), "action.pieces");
    assert.equal(findWidenedPath(asked, { ...asked, amount: 100 }), "action.amount");
  });

  test("compares a type that is spelled like a number as text", () => {
    assert.equal(findWidenedPath({ type: "1" }, { type: "2" }), "action.type");
  });

  test("lists the fields that were narrowed, and not those that were omitted", () => {
    assert.deepEqual(
      listNarrowedFields(asked, { type: "payout", amount: "80.00", recipients: ["a@x.example"] }),
      ["amount", "recipients"],
    );
  });
});
