import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { multiPartCard, now, refundCard } from "@countersign/testing/browser/page-fixture";
import { type Mail, renderMailHtml, renderMailSubject, renderMailText } from "./mail-text.ts";

function mailOf(card: Mail["card"]): Mail {
  const link = "https://countersign.example/requests/req-7";
  return { card, checkCode: "7K2M-Q9XD-4TCV", link, decideBy: now + 102_000, now, approverName: "Ada" };
}

describe("renderMail", () => {
  test("shows the number first, and each of several actions completely and in order", () => {
    const mail = mailOf(multiPartCard);
    assert.match(renderMailSubject(mail), /^Approve or deny: 3 actions, one decision: \(1\) Move /);
    for (const body of [renderMailText(mail), renderMailHtml(mail)]) {
      const text = body.replace(/<[^>]*>/g, "");
      assert.match(text, /Refund desk asks for your decision: 3 actions, one decision\./);
      let from = 0;
      for (const [at, { rows, words }] of multiPartCard.parts.entries())
        for (const shown of [
          `${at + 1} of 3: `,
          ...rows.map(({ value }) => value),
          ...words.rows.map(({ label }) => label),
        ]) {
          const found = text.indexOf(shown, from);
          assert.ok(found >= from, shown);
          from = found;
        }
      assert.ok(
        text.indexOf(multiPartCard.words.message!, from) > from,
        "the agent's message about all of them comes last",
      );
    }
  });

  test("shows one action without numbering", () => {
    const mail = mailOf(refundCard);
    assert.match(
      renderMailText(mail),
      /^Refund desk asks for your decision:\n\n {4}Refund \$10,000\.00 to Marta Jiménez/,
    );
    assert.doesNotMatch(renderMailText(mail) + renderMailHtml(mail), /one decision|1 of 1/);
  });
});
