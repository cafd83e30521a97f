import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TokenState, tokenStates } from "@countersign/protocol";
import fc from "fast-check";
import {
  expireToken,
  getTokenState,
  recordOutcome,
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
  "retry reserve": (token, now) => reserve(token, spend, now),
  "reserve with another spend id": (token, now) => reserve(token, { ...spend, spendId: "spend-2" }, now),
  "reserve with another digest": (token, now) =>
    reserve(token, { ...spend, spendId: "spend-2", digest: "other" }, now),
  "reserve with another audience": (token, now) =>
    reserve(token, { ...spend, audience: "https://other.example" }, now),
  complete: (token, now) => recordOutcome(token, "completed", spend, now),
  fail: (token, now) => recordOutcome(token, "failed", spend, now),
  "complete with another spend id": (token, now) =>
    recordOutcome(token, "completed", { ...spend, spendId: "spend-2" }, now),
  expire: expireToken,
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
const all = (result: string) => Object.fromEntries(tokenStates.map((state) => [state, result])) as Row;
const table: { readonly [attempt in keyof typeof attempts]: Row } = {
  "retry reserve": { ...spentRow, reserved: "reserved" },
  "reserve with another spend id": spentRow,
  "reserve with another digest": { ...spentRow, issued: "!digest_mismatch" },
  "reserve with another audience": all("!invalid_token"),
  complete: { ...all("!already_spent"), reserved: "completed", unknown: "completed", completed: "completed" },
  fail: { ...all("!already_spent"), reserved: "failed", unknown: "failed", failed: "failed" },
  "complete with another spend id": all("!already_spent"),
  expire: Object.fromEntries(tokenStates.map((state) => [state, `!${state}`])) as Row,
};

describe("token", () => {
  for (const [name, attempt] of Object.entries(attempts) as [keyof typeof attempts, Attempt][])
    for (const state of tokenStates)
      test(`${name}: ${state} becomes ${table[name][state]}`, () => {
        const after = attempt(tokenIn(state), issuedAt + 1);
        assert.equal("refused" in after ? `!${after.refused}` : after.state, table[name][state]);
      });

  test("refuses to reserve at expiresAt, and completes an earlier reservation (T11)", () => {
    assert.deepEqual(reserve(tokenIn("issued"), spend, expiresAt), { refused: "expired_token" });
    const late = recordOutcome(tokenIn("reserved"), "completed", spend, expiresAt + 1_000);
    assert.equal("refused" in late ? late.refused : late.state, "completed");
  });

  test("returns unknown for a reservation without an outcome; the token stays used (T23)", () => {
    const unknown = expireToken(tokenIn("reserved"), issuedAt + reservationTimeoutMs);
    assert.ok(!("refused" in unknown));
    assert.equal(unknown.state, "unknown");
    assert.deepEqual(reserve(unknown, { ...spend, spendId: "spend-2" }, issuedAt + 1), {
      refused: "already_spent",
    });
    assert.deepEqual(expireToken(tokenIn("reserved"), issuedAt + reservationTimeoutMs - 1), {
      refused: "reserved",
    });
  });

  test("never returns to issued, and at most one spend id reserves it, in any history (T17)", () => {
    const step = fc.record({
      attempt: fc.constantFrom(...(Object.values(attempts) as Attempt[])),
      after: fc.integer({ min: 0, max: reservationTimeoutMs }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
        let token = tokenIn("issued");
        let now = issuedAt;
        const spendIds = new Set<string>();
        for (const { attempt, after } of steps) {
          now += after;
          const next = attempt(token, now);
          if ("refused" in next) continue;
          if (token.state !== "issued") assert.notEqual(next.state, "issued");
          if (next.spend) spendIds.add(next.spend.id);
          token = next;
        }
        assert.ok(spendIds.size <= 1);
        assert.notEqual(getTokenState(token, now + reservationTimeoutMs), "issued");
      }),
    );
  });

  test("returns authorization_details, also for a type named openid, and none for a scope", () => {
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
});
