/** Several actions in one request. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { approved, failureOf, type StandIn, standIn, testClock } from "../../test/stand-in.ts";
import { type Agent, type Ask, createAgent } from "../agent.ts";

const transfer = { type: "transfer", from: "reserve", amount: "10.00", note: "as agreed" };
const refund = { type: "refund", order: "A-1", to: ["ada", "bob"] };
const { note: _, ...moved } = transfer;

let stand: StandIn;
let agent: Agent;
before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(() => {
  stand.seen.length = 0;
  const credentials = { issuer: stand.issuer, clientId: "refunder", clientSecret: "s3cret" };
  agent = createAgent(credentials, { clock: testClock() });
});

async function askBoth() {
  const asked = await agent.ask({ actions: [transfer, refund], approver: "owner" });
  assert(asked.outcome === "asked");
  return asked.ask;
}
const answer = async (details: readonly object[]) => {
  stand.token = [await approved(stand, {}, { authorization_details: details })];
};

describe("several actions", () => {
  test("are one request in their order, and the result contains all of them", async () => {
    const ask = await askBoth();
    assert.deepEqual(JSON.parse(stand.seen[0]!.form.get("authorization_details")!), [transfer, refund]);
    assert.equal(stand.seen[0]!.form.get("scope"), "openid");
    assert.deepEqual(ask.action, [transfer, refund]);
  });

  test("returns the granted actions in the same order; narrowed names the index", async () => {
    const ask = await askBoth();
    await answer([moved, { ...refund, to: ["ada"] }]);
    const outcome = await agent.redeem(JSON.parse(JSON.stringify(ask)) as typeof ask);
    assert(outcome.outcome === "approved");
    const [first, second] = outcome.action;
    assert.equal(first.from, "reserve");
    assert.deepEqual(second.to, ["ada"]);
    assert.deepEqual(outcome.narrowed, ["[1].to"]);
  });

  test("rejects one of them alone, one more, another order, and a wider one (T9)", async () => {
    const cases: [readonly object[], RegExp][] = [
      [[moved], /malformed: authorization_details/],
      [[moved, refund, refund], /malformed: authorization_details/],
      [[refund, moved], /granted what was not requested: actions\[0\]/],
      [[moved, { ...refund, order: "A-2" }], /granted what was not requested: actions\[1\]\.order/],
      [[{ ...moved, fee: "1" }, refund], /granted what was not requested: actions\[0\]\.fee/],
      [[moved, { ...refund, type: "payout" }], /granted what was not requested: actions\[1\]\.type/],
      [[moved, null as unknown as object], /malformed: authorization_details/],
    ];
    for (const [details, why] of cases) {
      const ask = await askBoth();
      await answer(details);
      assert.match((await failureOf(agent.redeem(ask))).message, why, JSON.stringify(details));
    }
    const one: Ask = { ...(await askBoth()), action: refund };
    await answer([refund, refund]);
    assert.match((await failureOf(agent.redeem(one))).message, /malformed: authorization_details/);
  });

  test("calls run once for all, and resumes a stored request only for the same list", async () => {
    const store = new Map<string, Ask>();
    const newAsk = { actions: [transfer, refund], approver: "owner", idempotencyKey: "job-1" } as const;
    await answer([moved, refund]);
    const runs: unknown[] = [];
    const done = await agent.countersigned(
      newAsk,
      ([first, second]) => {
        runs.push([first.amount, second.order]);
        return "both";
      },
      { store },
    );
    assert.deepEqual(done, { outcome: "approved", result: "both" });
    assert.deepEqual(runs, [["10.00", "A-1"]]);
    store.set("job-1", { ...((await askBoth()) as unknown as Ask), idempotencyKey: "job-1" });
    const turned = { ...newAsk, actions: [refund, transfer] };
    const failure = await failureOf(agent.countersigned(turned, () => "never", { store }));
    assert.match(failure.message, /was used for another action/);
  });

  test("rejects an invalid value with its index, before sending", async () => {
    const wrong = { actions: [transfer, { type: "refund", amount: 10.5 }], approver: "owner" };
    assert.match((await failureOf(agent.ask(wrong))).message, /^actions\[1\]\.amount is 10\.5/);
    assert.equal(stand.seen.length, 0);
  });
});
