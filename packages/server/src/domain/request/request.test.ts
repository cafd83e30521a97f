import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type RequestState, requestStates } from "@countersign/protocol";
import fc from "fast-check";
import {
  type ApprovalRequest,
  approve,
  cancel,
  computeDecideBy,
  type Decision,
  deny,
  expireRequest,
  getRequestState,
  type RequestStatus,
  redeem,
} from "./request.ts";

const createdAt = 1_000_000;
const expiresAt = createdAt + 120_000;
const decision: Decision = {
  approver: "apr_ada",
  at: createdAt,
  level: "session",
  authenticatedAt: createdAt,
  amr: ["pop"],
};

const statuses: { readonly [state in RequestState]: RequestStatus } = {
  pending: { state: "pending" },
  approved: { state: "approved", decision },
  denied: { state: "denied", decision, endedAt: createdAt },
  expired: { state: "expired", endedAt: expiresAt },
  cancelled: { state: "cancelled", endedAt: createdAt },
  lapsed: { state: "lapsed", decision, endedAt: expiresAt },
  redeemed: { state: "redeemed", decision, endedAt: createdAt, token: "tok_1" },
};

function requestIn(state: RequestState): ApprovalRequest {
  return {
    id: "req_1",
    agent: "agent-1",
    parts: [{ type: "refund", typeHash: "h", bound: {}, denyKey: "l" }],
    audience: "https://api.example",
    digest: "d",
    card: {} as ApprovalRequest["card"],
    cardHash: "c",
    scope: "openid",
    candidates: ["apr_ada"],
    level: "session",
    tokenLifetimeSeconds: 60,
    delivery: "poll",
    dedupeKey: "a",
    createdAt,
    decideBy: computeDecideBy(createdAt, expiresAt),
    expiresAt,
    status: statuses[state],
  };
}

const events = {
  approve: (request: ApprovalRequest, now: number) => approve(request, decision, now),
  deny: (request: ApprovalRequest, now: number) => deny(request, decision, now),
  cancel,
  redeem: (request: ApprovalRequest, now: number) => redeem(request, "tok_1", now),
  end: expireRequest,
};
type Event = keyof typeof events;

/** The result of each event in each state: the next state, or the refusal after "!". */
type Table = { readonly [event in Event]: { readonly [state in RequestState]: string } };
const refused = Object.fromEntries(requestStates.map((state) => [state, `!${state}`])) as {
  [state in RequestState]: string;
};

const inTime: Table = {
  approve: { ...refused, pending: "approved" },
  deny: { ...refused, pending: "denied" },
  cancel: { ...refused, pending: "cancelled", approved: "cancelled" },
  redeem: { ...refused, approved: "redeemed" },
  end: refused,
};
const closed: Table = {
  ...inTime,
  approve: { ...refused, pending: "!closed" },
  deny: { ...refused, pending: "!closed" },
};
const past: { readonly [state in RequestState]: string } = {
  ...refused,
  pending: "!expired",
  approved: "!lapsed",
};
const expired: Table = {
  approve: past,
  deny: past,
  cancel: past,
  redeem: past,
  end: { ...refused, pending: "expired", approved: "lapsed" },
};

const times: readonly (readonly [string, number, Table])[] = [
  ["while deciding is open", createdAt, inTime],
  ["at the last instant for deciding", computeDecideBy(createdAt, expiresAt) - 1, inTime],
  ["when deciding has closed", computeDecideBy(createdAt, expiresAt), closed],
  ["just before expiry", expiresAt - 1, closed],
  ["at the instant expiresAt", expiresAt, expired],
  ["long after", expiresAt + 1e9, expired],
];

describe("request", () => {
  for (const [when, now, table] of times)
    for (const event of Object.keys(events) as Event[])
      for (const state of requestStates)
        test(`returns ${table[event][state]} for ${event} on ${state} ${when}`, () => {
          const before = requestIn(state);
          const copy = structuredClone(before);
          const after = events[event](before, now);
          assert.equal("refused" in after ? `!${after.refused}` : after.status.state, table[event][state]);
          assert.deepEqual(before, copy, "the argument is not changed");
        });

  test("expires at expiresAt, not after it, and expired is never denied (T26)", () => {
    const request = requestIn("pending");
    assert.equal(getRequestState(request, expiresAt - 1), "pending");
    assert.equal(getRequestState(request, expiresAt), "expired");
    assert.equal(getRequestState(requestIn("denied"), expiresAt), "denied");
  });

  test("lapses at expiresAt if not redeemed, and yields no token afterwards (T19)", () => {
    assert.equal(getRequestState(requestIn("approved"), expiresAt), "lapsed");
    assert.deepEqual(redeem(requestIn("approved"), "tok", expiresAt), { refused: "lapsed" });
  });

  test("closes five seconds before expiry, or a tenth of the lifetime if that is less", () => {
    assert.equal(computeDecideBy(0, 120_000), 115_000);
    assert.equal(computeDecideBy(0, 50_000), 45_000);
    assert.equal(computeDecideBy(0, 10_000), 9_000);
    assert.equal(computeDecideBy(0, 1_000), 900);
  });

  test("reaches one final state in any history; only an approval becomes a token", () => {
    const step = fc.record({
      event: fc.constantFrom(...(Object.keys(events) as Event[])),
      after: fc.integer({ min: 0, max: 40_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let request = requestIn("pending");
        let now = createdAt;
        const path: RequestState[] = ["pending"];
        for (const { event, after } of steps) {
          now += after;
          const next = events[event](request, now);
          if ("refused" in next) continue;
          request = next;
          path.push(next.status.state);
        }
        const final = path.filter((state) => state !== "pending" && state !== "approved");
        assert.ok(final.length <= 1, path.join(" → "));
        assert.ok(path.length <= 3, path.join(" → "));
        if (final[0] === "redeemed") assert.deepEqual(path, ["pending", "approved", "redeemed"]);
        if (final[0]) assert.equal(path.at(-1), final[0]);
      }),
    );
  });
});
