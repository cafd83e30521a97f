import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { actionDigest, hashJson, type Json, type JsonObject, partsDigest } from "@countersign/protocol";
import {
  createPolicy,
  refundDeclaration,
  refundFields,
  samplePolicies,
} from "@countersign/testing/audit/action-fixture";
import fc from "fast-check";
import { formatCardSummary, hashCard, parseBindingMessage, renderCard, type SingleCard } from "./card.ts";
import { type ParsedPart, parseDetails } from "./parse-details.ts";

const policy = createPolicy();
const agent = { id: "agent-1", name: "Ticket agent" };
const expiresAt = Date.UTC(2026, 10, 22);
const salt = "c2FsdHNhbHRzYWx0c2FsdA";

/** Returns one part of type refund. */
function part(bound: JsonObject, advisory: JsonObject = {}): ParsedPart {
  return { policy, bound, advisory };
}

function render(bound: JsonObject, advisory: JsonObject = {}, message?: string): SingleCard {
  return single(renderCard({ parts: [part(bound, advisory)], agent, message, expiresAt, salt }));
}

function single(card: ReturnType<typeof renderCard>): SingleCard {
  assert.ok("v" in card && card.v === 1, JSON.stringify(card));
  return card;
}

/** Returns every text on the card. */
function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

describe("renderCard", () => {
  test("writes the sentence, with values set apart", () => {
    const card = render(refundFields);
    assert.deepEqual(card.sentence, [
      { text: "Refund " },
      { value: "$10,000.00", field: "amount" },
      { text: " to " },
      { value: "“Grace”", field: "customer" },
      { text: " for order " },
      { value: "“A-1”", field: "order" },
    ]);
    assert.equal(formatCardSummary(card), "Refund $10,000.00 to “Grace” for order “A-1”");
  });

  test("contains rows, agent, reversibility and level", () => {
    const card = render(
      { ...refundFields, copies: ["ada", "bob"], parcels: 1200 },
      { reason: "Late.\nTwice." },
      "Please",
    );
    assert.deepEqual(card.rows, [
      { label: "Amount", value: "$10,000.00", field: "amount" },
      { label: "Customer", value: "Grace", field: "customer" },
      { label: "Order", value: "A-1", field: "order" },
      { label: "Copies to", value: "“ada”, “bob”", field: "copies" },
      { label: "Parcels", value: "1,200 parcels", field: "parcels" },
    ]);
    assert.deepEqual(card.words, {
      message: "Please",
      rows: [{ label: "Reason", value: "Late.\nTwice.", field: "reason" }],
    });
    const { v, type, audience, level, reversibility } = card;
    assert.deepEqual(
      { v, type, audience, level, reversibility },
      {
        v: 1,
        type: "refund",
        audience: "https://refunds.example",
        level: "passkey-signed",
        reversibility: "irreversible",
      },
    );
    assert.deepEqual(card.agent, agent);
    assert.equal(card.expiresAt, expiresAt);
  });

  test("keeps the canonical form of a card of one part", () => {
    const card = render({ ...refundFields, copies: ["ada"], parcels: 2 }, { reason: "Late" }, "Please");
    const written = `{"v":1,"type":"refund","agent":{"id":"agent-1","name":"Ticket agent"},"sentence":[{"text":"Refund "},{"value":"$10,000.00","field":"amount"},{"text":" to "},{"value":"“Grace”","field":"customer"},{"text":" for order "},{"value":"“A-1”","field":"order"}],"rows":[{"label":"Amount","value":"$10,000.00","field":"amount"},{"label":"Customer","value":"Grace","field":"customer"},{"label":"Order","value":"A-1","field":"order"},{"label":"Copies to","value":"“ada”","field":"copies"},{"label":"Parcels","value":"2 parcels","field":"parcels"}],"words":{"message":"Please","rows":[{"label":"Reason","value":"Late","field":"reason"}]},"reversibility":"irreversible","level":"passkey-signed","audience":"https://refunds.example","digest":"zhnvsGIKlAUZ1vn4TZqn5W_9_Yd0g9mNdKS8Uu2NRWo","expiresAt":1795305600000,"salt":"c2FsdHNhbHRzYWx0c2FsdA"}`;
    assert.equal(JSON.stringify(card), written);
  });

  test("shows each of several parts in full, in order, with the worst reversibility", () => {
    const kinder = createPolicy({
      ...refundDeclaration,
      type: "credit",
      sentence: "Credit {amount} to {customer}",
    });
    const mild = { ...kinder.definition, reversibility: "reversible", level: "session" } as const;
    const parts = [
      { policy: { ...kinder, definition: mild }, bound: { ...refundFields, order: "A-2" }, advisory: {} },
      part(refundFields, { reason: "Late" }),
      part({ ...refundFields, order: "A-3" }),
    ];
    const card = renderCard({ parts, agent, message: "Please", expiresAt, salt });
    assert.ok("v" in card && card.v === 2);
    const alone = parts.map((one) => single(renderCard({ parts: [one], agent, expiresAt, salt })));
    assert.deepEqual(
      card.parts,
      alone.map(({ type, sentence, rows, words }) => ({ type, sentence, rows, words })),
    );
    assert.deepEqual(card.words, { message: "Please" });
    assert.deepEqual([card.reversibility, card.level], ["irreversible", "passkey-signed"]);
    assert.equal(
      formatCardSummary(card),
      "3 actions, one decision: (1) Credit $10,000.00 to “Grace”; (2) Refund $10,000.00 to “Grace” for order “A-1”; (3) Refund $10,000.00 to “Grace” for order “A-3”",
    );
    const digested = parts.map(({ policy, bound }) => ({
      type: policy.definition.type,
      typeHash: policy.hash,
      bound,
    }));
    assert.equal(card.digest, partsDigest(policy.definition.audience, digested));
    const turned = renderCard({ parts: parts.toReversed(), agent, message: "Please", expiresAt, salt });
    assert.ok("v" in turned && turned.digest !== card.digest);
  });

  test("contains the action digest, and is hashed as a whole", () => {
    const card = render(refundFields, {}, "Please");
    const { type, audience } = policy.definition;
    assert.equal(card.digest, actionDigest({ type, audience, typeHash: policy.hash, bound: refundFields }));
    assert.equal(hashCard(card), hashJson(card as unknown as Json));
    const other = render(refundFields, {}, "Please!");
    assert.equal(other.digest, card.digest);
    assert.notEqual(hashCard(other), hashCard(card));
    assert.notEqual(render({ ...refundFields, order: "A-2" }).digest, card.digest);
  });

  test("contains the requested level", () => {
    const asked = renderCard({ parts: [part(refundFields)], agent, level: "session", expiresAt, salt });
    assert.equal("level" in asked && asked.level, "session");
  });

  test("hashes two cards of the same ask differently, so that the hash does not confirm a guess", () => {
    const input = { parts: [part(refundFields)], agent, expiresAt };
    const [one, two] = ["AAAAAAAAAAAAAAAAAAAAAA", salt].map((own) => renderCard({ ...input, salt: own }));
    assert.ok(one && two && !("refused" in one) && !("refused" in two));
    assert.notEqual(hashCard(one), hashCard(two));
  });

  test("has a canonical form without message and advisory fields", () => {
    const card = render(refundFields);
    assert.deepEqual(card.words, { rows: [] });
    assert.match(hashCard(card), /^[A-Za-z0-9_-]{43}$/);
  });

  test("throws for a value that no row displays (T14)", () => {
    assert.throws(() => render({ ...refundFields, hidden: 1 }), /would not show hidden/);
    assert.throws(() => render(refundFields, { note: "x" }), /would not show note/);
    const { order, ...gap } = refundFields;
    assert.equal(order, "A-1");
    assert.throws(() => render(gap), /a gap where order belongs/);
  });

  test("refuses a value that cannot be displayed as declared, with its path", () => {
    const refused = (change: JsonObject, count = 1) => {
      const parts = [part(refundFields), part({ ...refundFields, ...change })].slice(-count);
      const result = renderCard({ parts, agent, expiresAt, salt });
      assert.ok("refused" in result);
      assert.equal(result.refused, "invalid_authorization_details");
      return `${result.path} ${result.why}`;
    };
    assert.match(refused({ amount: "10,000.00" }), /^\$\[0\]\.amount must be a plain decimal/);
    assert.equal(refused({ currency: "XXX" }), "$[0].currency is not an ISO 4217 currency code");
    assert.equal(refused({ currency: "XXX" }, 2), "$[1].currency is not an ISO 4217 currency code");
    assert.match(refused({ amount: "1e9" }), /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
  });

  test("keeps markup and quotation marks of a value inside its quotation (T15)", () => {
    const card = render({
      ...refundFields,
      customer: "<b>Grace</b>",
      order: "A-1” (a test, no money moves)",
    });
    assert.equal(
      formatCardSummary(card),
      "Refund $10,000.00 to “<b>Grace</b>” for order “A-1\\” (a test, no money moves)”",
    );
    assert.equal(card.rows.find((row) => row.field === "order")?.value, "A-1” (a test, no money moves)");
  });

  test("quotes an accepted message word for word (T16)", () => {
    for (const text of ["Please approve", "返金 💶 for Zoë", "x".repeat(256), "<script>alert(1)</script>"]) {
      const read = parseBindingMessage(text);
      assert.ok(!("refused" in read));
      assert.equal(render(refundFields, {}, read.message).words.message, text);
    }
  });

  test("measures and quotes a message in NFC; an empty one is absent", () => {
    assert.deepEqual(parseBindingMessage("Zoe\u0308"), { message: "Zo\u00eb" });
    assert.ok(!("refused" in parseBindingMessage("e\u0301".repeat(256))));
    assert.deepEqual(parseBindingMessage(""), {});
    assert.deepEqual(parseBindingMessage(undefined), {});
  });

  test("refuses a message that cannot be displayed unchanged (T15)", () => {
    for (const [text, why] of [
      ["x".repeat(257), "is too long"],
      ["💶".repeat(257), "is too long"],
      ["pay\u200bment", "invisible"],
      ["\u202eevil", "invisible"],
      ["one\ntwo", "invisible"],
      ["a\u00adb", "invisible"],
      ["\ud800", "invisible"],
      ["   ", "space"],
      ["a  b", "space"],
    ] as const) {
      const result = parseBindingMessage(text);
      assert.ok("refused" in result, JSON.stringify(text));
      assert.equal(result.refused, "invalid_binding_message");
      assert.match(result.why, new RegExp(`^binding_message .*${why}`));
      assert.match(result.why, /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/);
    }
  });

  /** Listed one by one, so that the test does not depend on the code under test. */
  function isInvisible(code: number, lineBreaks: boolean): boolean {
    const ranges = [
      ...[
        [0x0, 0x1f],
        [0x7f, 0xa0],
        [0xad, 0xad],
        [0x34f, 0x34f],
        [0x61c, 0x61c],
        [0x115f, 0x1160],
        [0x1680, 0x1680],
      ],
      ...[
        [0x17b4, 0x17b5],
        [0x180b, 0x180f],
        [0x2000, 0x200f],
        [0x2028, 0x202f],
        [0x205f, 0x206f],
        [0x2800, 0x2800],
      ],
      ...[
        [0x3000, 0x3000],
        [0x3164, 0x3164],
        [0xd800, 0xf8ff],
        [0xfe00, 0xfe0f],
        [0xfeff, 0xfeff],
        [0xffa0, 0xffa0],
      ],
      ...[
        [0xfff0, 0xfffb],
        [0x1bca0, 0x1bca3],
        [0x1d173, 0x1d17a],
        [0xe0000, 0x10ffff],
      ],
    ];
    if (lineBreaks && code === 0x0a) return false;
    return ranges.some(([from, to]) => code >= from! && code <= to!);
  }

  test("never displays an invisible character and never changes an accepted text (T15)", () => {
    const hostile = [
      "\u200b",
      "\u202e",
      "\u00a0",
      "\u2067",
      "\ufe0f",
      "\u{e0061}",
      "\u3164",
      "\u0000",
      "\n",
      "\u2800",
      "\ufeff",
    ];
    const unit = fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom(..."abc Zéß漢字”“<>&'\\ж") },
      { weight: 1, arbitrary: fc.constantFrom(...hostile) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
    );
    const text = fc.array(unit, { maxLength: 6 }).map((units) => units.join(""));
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        text,
        text,
        fc.array(text, { maxLength: 2 }),
        text,
        text,
        (order, customer, copies, reason, message) => {
          const sent = { ...refundFields, order, customer, copies, reason };
          const read = parseDetails(JSON.stringify([{ type: "refund", ...sent }]), samplePolicies);
          const words = parseBindingMessage(message);
          if ("refused" in read || "refused" in words) {
            refused++;
            return;
          }
          accepted++;
          const { bound, advisory } = read[0]!;
          const card = single(renderCard({ parts: read, agent, message: words.message, expiresAt, salt }));
          for (const shown of textsOf({ ...card, words: { message: card.words.message } }))
            for (const character of shown)
              assert.ok(!isInvisible(character.codePointAt(0)!, false), JSON.stringify(shown));
          for (const row of card.words.rows)
            for (const character of row.value)
              assert.ok(!isInvisible(character.codePointAt(0)!, true), row.value);
          assert.deepEqual({ ...bound, ...advisory }, sent);
          assert.deepEqual(
            [...card.rows, ...card.words.rows]
              .filter(({ field }) => field !== "amount" && field !== "copies")
              .map((row) => row.value),
            [customer, order, reason],
          );
        },
      ),
      { numRuns: 600, seed: 20261122 },
    );
    assert.ok(accepted > 50 && refused > 50, `${accepted} accepted, ${refused} refused`);
  });

  test("renders a scope as its fixed sentence and the agent's message", () => {
    const schema = { type: "object", additionalProperties: false, properties: {} };
    const scope = { type: "export", scope: "export", schema, bound: [], rows: [], advisory: [], denyBy: [] };
    const exporting = createPolicy({ ...refundDeclaration, ...scope, sentence: "Export it all" });
    const parts = [{ policy: exporting, bound: {}, advisory: {} }];
    const card = single(renderCard({ parts, agent, message: "Now", expiresAt, salt }));
    assert.deepEqual(card.sentence, [{ text: "Export it all" }]);
    assert.deepEqual(card.words, { message: "Now", rows: [] });
  });
});
