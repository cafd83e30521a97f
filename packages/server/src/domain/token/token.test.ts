import assert from "node:assert/strict";
import { test } from "node:test";
import { type TokenState, tokenStates } from "@countersign/protocol";
import fc from "fast-check";
import {
  expireToken,
  finish,
  getTokenState,
  reservationTimeoutMs,
  reserve,
  type Spend,
  type Token,
  toAuthorizationDetails,
  toTypeHashClaim,
} from "./token.ts";

const issuedAt = 1_000_000;
const expiresAt = issuedAt + 60_000;
const spend: Spend = {
  api: "refunds-api",
  audience: "https://refunds.example",
  spendId: "spend-1",
  digest: "digest-1",
};

function tokenIn(state: TokenState): Token {
  const spent = state !== "issued" && state !== "expired" && state !== "revoked";
  return {
    hash: "h",
    jti: "tok_1",
    requestId: "req_1",
    agent: "agent-1",
    subject: "apr_ada",
    approvedBy: ["apr_ada"],
    parts: [{ type: "refund", typeHash: "t", bound: {} }],
    audience: spend.audience,
    scope: "openid",
    digest: spend.digest,
    issuedAt,
    expiresAt,
    state,
    ...(spent && { spend: { id: spend.spendId, api: spend.api, reservedAt: issuedAt } }),
  };
}

type Attempt = (token: Token, now: number) => Token | { readonly refused: string };
const attempts = {
  "reserve again": (token, now) => reserve(token, spend, now),
  "reserve anew": (token, now) => reserve(token, { ...spend, spendId: "spend-2" }, now),
  "reserve for another call": (token, now) =>
    reserve(token, { ...spend, spendId: "spend-2", digest: "other" }, now),
  "reserve from elsewhere": (token, now) =>
    reserve(token, { ...spend, audience: "https://other.example" }, now),
  complete: (token, now) => finish(token, "completed", spend, now),
  fail: (token, now) => finish(token, "failed", spend, now),
  "complete somebody else's": (token, now) =>
    finish(token, "completed", { ...spend, spendId: "spend-2" }, now),
  end: expireToken,
} satisfies Record<string, Attempt>;

type Row = { readonly [state in TokenState]: string };
const spentRow: Row = {
  issued: "reserved",
  reserved: "!already_spent",
  completed: "!already_spent",
  failed: "!already_spent",
  unknown: "!already_spent",
  expired: "!expired_token",
  revoked: "!invalid_token",
};
const all = (answer: string) => Object.fromEntries(tokenStates.map((state) => [state, answer])) as Row;
const table: { readonly [attempt in keyof typeof attempts]: Row } = {
  "reserve again": { ...spentRow, reserved: "reserved" },
  "reserve anew": spentRow,
  "reserve for another call": { ...spentRow, issued: "!digest_mismatch" },
  "reserve from elsewhere": all("!invalid_token"),
  complete: { ...all("!already_spent"), reserved: "completed", unknown: "completed", completed: "completed" },
  fail: { ...all("!already_spent"), reserved: "failed", unknown: "failed", failed: "failed" },
  "complete somebody else's": all("!already_spent"),
  end: Object.fromEntries(tokenStates.map((state) => [state, `!${state}`])) as Row,
};

for (const [name, attempt] of Object.entries(attempts) as [keyof typeof attempts, Attempt][])
  for (const state of tokenStates)
    test(`${name} on a token that is ${state} gives ${table[name][state]}`, () => {
      const after = attempt(tokenIn(state), issuedAt + 1);
      assert.equal("refused" in after ? `!${after.refused}` : after.state, table[name][state]);
    });

test("T11: a token is not reserved at the instant it expires, and completed all the same if it was reserved before", () => {
  assert.deepEqual(reserve(tokenIn("issued"), spend, expiresAt), { refused: "expired_token" });
  const late = finish(tokenIn("reserved"), "completed", spend, expiresAt + 1_000);
  assert.equal("refused" in late ? late.refused : late.state, "completed");
});

test("a reservation that nobody ends becomes unknown, and stays used", () => {
  const silent = expireToken(tokenIn("reserved"), issuedAt + reservationTimeoutMs);
  assert.ok(!("refused" in silent));
  assert.equal(silent.state, "unknown");
  assert.deepEqual(reserve(silent, { ...spend, spendId: "spend-2" }, issuedAt + 1), {
    refused: "already_spent",
  });
  assert.deepEqual(expireToken(tokenIn("reserved"), issuedAt + reservationTimeoutMs - 1), {
    refused: "reserved",
  });
});

test("T17: in any history nothing returns to issued, and one spend id at most ever holds the token", () => {
  const step = fc.record({
    attempt: fc.constantFrom(...(Object.values(attempts) as Attempt[])),
    after: fc.integer({ min: 0, max: reservationTimeoutMs }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
      let token = tokenIn("issued");
      let now = issuedAt;
      const holders = new Set<string>();
      for (const { attempt, after } of steps) {
        now += after;
        const next = attempt(token, now);
        if ("refused" in next) continue;
        if (token.state !== "issued") assert.notEqual(next.state, "issued");
        if (next.spend) holders.add(next.spend.id);
        token = next;
      }
      assert.ok(holders.size <= 1);
      assert.notEqual(getTokenState(token, now + reservationTimeoutMs), "issued");
    }),
  );
});

test("a token says its action, also of a type that is called openid; only a scope that is the action has no details", () => {
  const bound = { service: "foo" };
  const of = (type: string, fields = {}) => [{ type, typeHash: "t", bound: fields }];
  assert.deepEqual(toAuthorizationDetails({ parts: of("openid", bound), scope: "openid" }), [
    { type: "openid", ...bound },
  ]);
  assert.equal(
    toAuthorizationDetails({ parts: of("calendar.clear"), scope: "openid calendar.clear" }),
    undefined,
  );
  const several = [...of("refund", bound), { type: "notify", typeHash: "u", bound: {} }];
  assert.deepEqual(toAuthorizationDetails({ parts: several, scope: "openid" }), [
    { type: "refund", ...bound },
    { type: "notify" },
  ]);
  assert.deepEqual(toTypeHashClaim({ parts: several }), { act_type_hashes: ["t", "u"] });
  assert.deepEqual(toTypeHashClaim({ parts: of("refund") }), { act_type_hash: "t" });
});
