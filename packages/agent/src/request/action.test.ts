import assert from "node:assert/strict";
import { test } from "node:test";
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

test("the same action, or less of it, is not wider than what was asked", () => {
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

test("T9: another type, a new field, another text, a new list member is refused with its path", () => {
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

test("T13: a number never comes back as a string, nor a string as a number", () => {
  assert.equal(findWidenedPath(asked, { ...asked, pieces: "3" }), "action.pieces");
  assert.equal(findWidenedPath(asked, { ...asked, amount: 100 }), "action.amount");
});

test("a type that is spelled like a number is still a type", () => {
  assert.equal(findWidenedPath({ type: "1" }, { type: "2" }), "action.type");
});

test("the fields in which an action was narrowed are named, those that were left out are not", () => {
  assert.deepEqual(
    listNarrowedFields(asked, { type: "payout", amount: "80.00", recipients: ["a@x.example"] }),
    ["amount", "recipients"],
  );
});
