/** Several actions approved as one: one token, one list, one spend. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { JsonObject } from "@countersign/protocol";
import { Hono } from "hono";
import { audience, type StandIn, standIn, testClock, typeHash } from "../test/stand-in.ts";
import { countersigned } from "./hono.ts";
import { type Action, createVerifier, type Verifier, type VerifierOptions } from "./verifier.ts";

const transfer = { type: "transfer", from: "reserve", to: "payouts", amount: "10.00" };
const refund = { type: "refund", order: "A-1", amount: "10.00" };
const both = [transfer, refund] as const;

let stand: StandIn;
let verifier: Verifier;
let token: string;
const newVerifier = (more: Partial<VerifierOptions> = {}) => {
  const { issuer } = stand;
  return createVerifier({ issuer, audience, clientId: "a", clientSecret: "b", clock: testClock(), ...more });
};
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  stand.spends.length = 0;
  verifier = newVerifier();
  token = await stand.issue(both);
});

describe("several actions", () => {
  test("accepts several approved actions as one list and one reservation", async () => {
    const checked = await verifier.check(token, both);
    assert.ok(checked.outcome === "checked");
    assert.deepEqual(checked.action, both);
    let ran = 0;
    const run = ({ action }: { action: readonly Action[] }) => {
      ran += 1;
      return action.map(({ type }) => type);
    };
    const first = await verifier.spend(token, () => both, run);
    assert.ok(first.outcome === "done");
    assert.deepEqual(first.result, ["transfer", "refund"]);
    assert.deepEqual(
      stand.spends.map(({ form }) => form.get("operation")),
      ["reserve", "complete"],
    );
    const second = await verifier.spend(token, () => both, run);
    assert.ok(second.outcome === "rejected" && second.reason === "already_spent");
    assert.equal(ran, 1);
  });

  test("rejects one alone, another order, one more, and a changed one, with the difference (T9)", async () => {
    const cases: [Action | readonly Action[], string[]][] = [
      [transfer, ["[1]"]],
      [refund, ["[0].type", "[0].from", "[0].to", "[0].order", "[1]"]],
      [[transfer], ["[1]"]],
      [[refund, transfer], []],
      [[...both, refund], ["[2]"]],
      [[transfer, { ...refund, amount: "10.01" }], ["[1].amount"]],
      [[{ ...transfer, fee: "1.00" }, refund], ["[0].fee"]],
      [[transfer, { ...refund, type: "payout" }], ["[1].type"]],
    ];
    for (const [stated, differs] of cases) {
      const answer = await verifier.reserve(token, stated);
      assert.ok(answer.outcome === "rejected", JSON.stringify(stated));
      assert.equal(answer.reason, "digest_mismatch");
      if (differs.length > 0) assert.deepEqual([...(answer.differs ?? [])].sort(), [...differs].sort());
    }
    // Each attempt is reported to the server, and no token is used.
    assert.equal(stand.spends.length, cases.length);
    assert.equal(stand.tokens.get(token)?.state, "issued");
    const changed = await verifier.check(token, [transfer, { ...refund, amount: "10.01" }]);
    assert.ok(changed.outcome === "rejected");
    assert.equal(changed.body.error_description, "The call is not the action that was approved: [1].amount");
  });

  test("treats a list of one as the single action, which its token covers alone", async () => {
    const one = await stand.issue(refund);
    const checked = await verifier.check(one, [refund]);
    assert.ok(checked.outcome === "checked");
    assert.deepEqual(checked.action, [refund]);
    const more = await verifier.check(one, [refund, transfer]);
    assert.ok(more.outcome === "rejected" && more.reason === "digest_mismatch");
  });

  test("rejects an empty list, and one with an invalid action", async () => {
    for (const stated of [
      [],
      [undefined],
      [transfer, null],
      [transfer, {}],
      [transfer, { type: "" }],
      [both],
    ]) {
      const answer = await verifier.check(token, stated as unknown as Action[]);
      assert.ok(answer.outcome === "rejected" && answer.reason === "no_action", JSON.stringify(stated));
    }
  });

  test("compares each type with the definition that the API pinned", async () => {
    const check = (pinnedTypes: Record<string, string>) => newVerifier({ pinnedTypes }).check(token, both);
    assert.equal((await check({ transfer: typeHash, refund: "1".repeat(43) })).outcome, "checked");
    for (const pinned of [{ refund: typeHash }, { transfer: "1".repeat(43), refund: "1".repeat(43) }]) {
      const answer = await check(pinned as Record<string, string>);
      assert.ok(answer.outcome === "rejected" && answer.reason === "type_changed");
    }
  });

  test("rejects a token with inconsistent type hashes (T46)", async () => {
    const odd: JsonObject[] = [
      { act_type_hash: typeHash },
      { act_type_hashes: [typeHash] },
      { act_type_hashes: [] },
      { act_type_hashes: typeHash },
      { act_type_hashes: [typeHash, 1] },
      { act_type_hashes: null },
    ];
    for (const claims of odd) {
      const answer = await verifier.check(await stand.issue(both, claims), both);
      assert.ok(answer.outcome === "rejected" && answer.reason === "invalid_token", JSON.stringify(claims));
    }
    const hashes = [typeHash, typeHash];
    const wrong = await verifier.check(await stand.issue(both, { act_type_hashes: hashes }), both);
    assert.ok(wrong.outcome === "rejected" && wrong.reason === "digest_mismatch");
  });

  test("spends one token for all actions of a handler (middleware)", async () => {
    const app = new Hono();
    const state = async () => [transfer, refund];
    app.post("/", countersigned(verifier, state), (c) => {
      const { action } = c.get("countersign");
      return c.json(action.map(({ amount }) => amount));
    });
    const call = () => app.request("/", { method: "POST", headers: { authorization: `Bearer ${token}` } });
    assert.deepEqual(await (await call()).json(), ["10.00", "10.00"]);
    assert.equal((await call()).status, 401);
  });
});
