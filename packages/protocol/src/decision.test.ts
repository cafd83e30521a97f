import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { actionDigest } from "./action.ts";
import { decisionChallenge, type SignedDecision } from "./decision.ts";

const decision: SignedDecision = {
  request: "req_1",
  digest: "digest",
  card: "card",
  verdict: "approve",
  approver: "apr_1",
  nonce: "nonce",
};

describe("decisionChallenge", () => {
  test("depends on every member of the decision", () => {
    const parts = Object.keys(decision) as (keyof SignedDecision)[];
    const changed = parts.map((part) =>
      decisionChallenge({ ...decision, [part]: `${decision[part]}!` } as SignedDecision),
    );
    assert.equal(new Set([decisionChallenge(decision), ...changed]).size, parts.length + 1);
    for (const part of parts) {
      assert.throws(
        () => decisionChallenge({ ...decision, [part]: undefined } as unknown as SignedDecision),
        /is not JSON/,
      );
    }
  });

  test("prevents members from being swapped or run into each other", () => {
    const swapped = decisionChallenge({ ...decision, digest: decision.card, card: decision.digest });
    const shifted = decisionChallenge({ ...decision, approver: "apr_1n", nonce: "once" });
    assert.equal(new Set([decisionChallenge(decision), swapped, shifted]).size, 3);
  });

  test("ignores members that a decision does not declare", () => {
    assert.equal(
      decisionChallenge({ ...decision, reason: "fine" } as SignedDecision),
      decisionChallenge(decision),
    );
  });

  test("differs from the digest of any action", () => {
    const action = {
      type: "approve",
      typeHash: decision.card,
      audience: decision.approver,
      bound: { ...decision },
    };
    assert.notEqual(actionDigest(action), decisionChallenge(decision));
  });
});
