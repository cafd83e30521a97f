import assert from "node:assert/strict";
import { test } from "node:test";
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

test("every part of a decision is in its challenge", () => {
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

test("two parts cannot be exchanged or run into each other", () => {
  const swapped = decisionChallenge({ ...decision, digest: decision.card, card: decision.digest });
  const shifted = decisionChallenge({ ...decision, approver: "apr_1n", nonce: "once" });
  assert.equal(new Set([decisionChallenge(decision), swapped, shifted]).size, 3);
});

test("nothing beyond the decision enters its challenge", () => {
  assert.equal(
    decisionChallenge({ ...decision, reason: "fine" } as SignedDecision),
    decisionChallenge(decision),
  );
});

test("no action has the challenge of a decision as its digest", () => {
  const action = {
    type: "approve",
    typeHash: decision.card,
    audience: decision.approver,
    bound: { ...decision },
  };
  assert.notEqual(actionDigest(action), decisionChallenge(decision));
});
