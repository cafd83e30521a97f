/** Of all that want the same thing at the same time, one gets it, whichever process it asked through. */
import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Approval, approve, deny, end, redeem } from "../../approval/approval.ts";
import { reserve } from "../../token/token.ts";
import { absent, type Held, type Outcome, type Store } from "../store.ts";
import { put, type Rule, still } from "./rule.ts";
import { aDecision, anApproval, anEntry, aReplay, aToken, freshId, noon } from "./specimen.ts";

export function oneWinner(rule: Rule): void {
  const outcomesOf = async (contenders: readonly Promise<Outcome>[]) => {
    const outcomes = await Promise.all(contenders);
    return { committed: outcomes.filter((one) => one === "committed").length, of: outcomes.length };
  };

  rule("T18, T47: of 50 concurrent redemptions of one approval one wins", async ({ store, reopen }) => {
    const handles = [store, await reopen(), await reopen()];
    const approved = anApproval({ standing: { state: "approved", decision: aDecision() } });
    await put(store, "approval", approved, absent);
    // All of them have read before the first of them writes.
    const on = Array.from({ length: 50 }, (_, n) => handles[n % handles.length]!);
    const read = await Promise.all(on.map((handle) => handle.read("approval", approved.id)));
    const redeemOn = async (handle: Store, n: number) => {
      const held = read[n]!;
      const token = aToken({ approval: approved.id });
      return handle.commit({
        writes: [
          { put: "approval", record: still(redeem(held.record, token.jti, noon)), expect: held.version },
          { put: "token", record: token, expect: absent },
        ],
        entries: [anEntry({ request: approved.id, token: token.jti })],
      });
    };
    assert.deepEqual(await outcomesOf(on.map(redeemOn)), { committed: 1, of: 50 });
    const tokens = await store.list("token");
    const { standing } = (await store.read("approval", approved.id))!.record;
    assert.deepEqual(
      tokens.map(({ record }) => record.jti),
      [standing.state === "redeemed" && standing.token],
    );
    assert.equal((await store.log.newest(99, approved.id)).length, 1);
  });

  rule(
    "T24, T48: of an approval and a denial at the same instant exactly one is committed",
    async ({ store, reopen }) => {
      const other = await reopen();
      for (let round = 0; round < 20; round += 1) {
        const approval = anApproval();
        await put(store, "approval", approval, absent);
        const held = (await store.read("approval", approval.id))!;
        const [first, second] = round % 2 ? [store, other] : [other, store];
        const outcomes = await Promise.all([
          writeApproval(first, held, still(approve(approval, aDecision(), noon))),
          writeApproval(second, held, still(deny(approval, aDecision({ reason: "no" }), noon))),
        ]);
        assert.deepEqual([...outcomes].sort(), ["committed", "conflict"]);
        const now = await other.read("approval", approval.id);
        assert.equal(now?.record.standing.state, outcomes[0] === "committed" ? "approved" : "denied");
        assert.equal(now?.version, 2);
        assert.equal((await store.log.newest(9, approval.id)).length, 1);
      }
    },
  );

  rule(
    "T11: of a decision and the expiry that overtakes it exactly one is committed",
    async ({ store, reopen }) => {
      const sweeper = await reopen();
      const start = store.now() + 20;
      await Promise.all(
        Array.from({ length: 40 }, async (_, n) => {
          const approval = anApproval({ expiresAt: start + n });
          await put(store, "approval", approval, absent);
          const held = (await store.read("approval", approval.id))!;
          let decidedAt = 0;
          const decide = async () => {
            while (store.now() < approval.expiresAt - 1 + (n % 3)) await nextTurn();
            decidedAt = store.now();
            const next: Approval = { ...approval, standing: { state: "approved", decision: aDecision() } };
            return writeApproval(store, held, next, approval.expiresAt);
          };
          const expire = async () => {
            while (sweeper.now() < approval.expiresAt) await nextTurn();
            return writeApproval(sweeper, held, still(end(approval, sweeper.now())));
          };
          const [decided, expired] = await Promise.all([decide(), expire()]);
          assert.deepEqual([decided, expired].sort(), ["committed", "conflict"]);
          if (decidedAt >= approval.expiresAt) assert.equal(decided, "conflict");
          const state = (await store.standing(approval.id))?.state;
          assert.equal(state, decided === "committed" ? "approved" : "expired");
        }),
      );
    },
  );

  rule("of 50 concurrent reservations of one token one wins", async ({ store, reopen }) => {
    const handles = [store, await reopen()];
    const token = aToken();
    await put(store, "token", token, absent);
    const on = Array.from({ length: 50 }, (_, n) => handles[n % 2]!);
    const read = await Promise.all(on.map((handle) => handle.read("token", token.hash)));
    const reserveOn = (handle: Store, n: number) => {
      const held = read[n]!;
      const spend = {
        api: "api_1",
        audience: token.audience,
        spendId: freshId("spend"),
        digest: token.digest,
      };
      return put(handle, "token", still(reserve(held.record, spend, noon)), held.version);
    };
    assert.deepEqual(await outcomesOf(on.map(reserveOn)), { committed: 1, of: 50 });
  });

  rule(
    "T46, T47: of 30 concurrent uses of one client assertion one is remembered first",
    async ({ store, reopen }) => {
      const handles = [store, await reopen()];
      const record = aReplay();
      const uses = Array.from({ length: 30 }, (_, n) =>
        handles[n % 2]!.pass({ writes: [{ put: "replay", record, expect: absent }] }),
      );
      assert.deepEqual(await outcomesOf(uses), { committed: 1, of: 30 });
    },
  );

  rule(
    "T29: concurrent asks through several handles do not exceed what may wait",
    async ({ store, reopen }) => {
      const handles = [store, await reopen()];
      const expiresAt = store.now() + 60_000;
      const asks = Array.from({ length: 30 }, (_, n) =>
        handles[n % 2]!.commit({
          writes: [{ put: "approval", record: anApproval({ expiresAt }), expect: absent }],
          fewerWaiting: { agent: "agent_1", than: 4 },
          entries: [anEntry()],
        }),
      );
      assert.deepEqual(await outcomesOf(asks), { committed: 4, of: 30 });
      assert.equal(await store.waitingOf("agent_1", store.now()), 4);
    },
  );
}

function writeApproval(
  store: Store,
  { version }: Held<"approval">,
  record: Approval,
  before?: number,
): Promise<Outcome> {
  return store.commit({
    ...(before === undefined ? {} : { before }),
    writes: [{ put: "approval", record, expect: version }],
    entries: [anEntry({ request: record.id })],
  });
}
