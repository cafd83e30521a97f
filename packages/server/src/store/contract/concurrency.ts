/** Of concurrent writes that exclude each other, one is committed, whichever process it came from. */
import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type ApprovalRequest, approve, deny, expireRequest, redeem } from "../../domain/request/request.ts";
import { reserve } from "../../domain/token/token.ts";
import { absent, type Outcome, type Store, type Versioned } from "../store.ts";
import { assertNotRefused, type ContractCase, put } from "./contract-case.ts";
import { aDecision, anEntry, aReplay, aRequest, aToken, testNow, uniqueId } from "./fixture.ts";

export function concurrencyContract(contractCase: ContractCase): void {
  const outcomesOf = async (contenders: readonly Promise<Outcome>[]) => {
    const outcomes = await Promise.all(contenders);
    return { committed: outcomes.filter((one) => one === "committed").length, of: outcomes.length };
  };

  contractCase(
    "commits one of 50 concurrent redemptions of a request (T18, T47)",
    async ({ store, reopen }) => {
      const handles = [store, await reopen(), await reopen()];
      const approved = aRequest({ status: { state: "approved", decision: aDecision() } });
      await put(store, "request", approved, absent);
      // All read before the first writes.
      const on = Array.from({ length: 50 }, (_, n) => handles[n % handles.length]!);
      const read = await Promise.all(on.map((handle) => handle.read("request", approved.id)));
      const redeemOn = async (handle: Store, n: number) => {
        const found = read[n]!;
        const token = aToken({ requestId: approved.id });
        return handle.commit({
          writes: [
            {
              put: "request",
              record: assertNotRefused(redeem(found.record, token.jti, testNow)),
              ifVersion: found.version,
            },
            { put: "token", record: token, ifVersion: absent },
          ],
          entries: [anEntry({ request: approved.id, token: token.jti })],
        });
      };
      assert.deepEqual(await outcomesOf(on.map(redeemOn)), { committed: 1, of: 50 });
      const tokens = await store.list("token");
      const { status } = (await store.read("request", approved.id))!.record;
      assert.deepEqual(
        tokens.map(({ record }) => record.jti),
        [status.state === "redeemed" && status.token],
      );
      assert.equal((await store.log.newest(99, approved.id)).length, 1);
    },
  );

  contractCase("commits either an approval or a concurrent denial (T24, T48)", async ({ store, reopen }) => {
    const other = await reopen();
    for (let round = 0; round < 20; round += 1) {
      const request = aRequest();
      await put(store, "request", request, absent);
      const found = (await store.read("request", request.id))!;
      const [first, second] = round % 2 ? [store, other] : [other, store];
      const outcomes = await Promise.all([
        writeApproval(first, found, assertNotRefused(approve(request, aDecision(), testNow))),
        writeApproval(second, found, assertNotRefused(deny(request, aDecision({ reason: "no" }), testNow))),
      ]);
      assert.deepEqual([...outcomes].sort(), ["committed", "conflict"]);
      const now = await other.read("request", request.id);
      assert.equal(now?.record.status.state, outcomes[0] === "committed" ? "approved" : "denied");
      assert.equal(now?.version, 2);
      assert.equal((await store.log.newest(9, request.id)).length, 1);
    }
  });

  contractCase("commits either a decision or the concurrent expiry (T11)", async ({ store, reopen }) => {
    const sweeper = await reopen();
    const start = store.now() + 20;
    await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const request = aRequest({ expiresAt: start + n });
        await put(store, "request", request, absent);
        const found = (await store.read("request", request.id))!;
        let decidedAt = 0;
        const decide = async () => {
          while (store.now() < request.expiresAt - 1 + (n % 3)) await nextTurn();
          decidedAt = store.now();
          const next: ApprovalRequest = {
            ...request,
            status: { state: "approved", decision: aDecision() },
          };
          return writeApproval(store, found, next, request.expiresAt);
        };
        const expire = async () => {
          while (sweeper.now() < request.expiresAt) await nextTurn();
          return writeApproval(sweeper, found, assertNotRefused(expireRequest(request, sweeper.now())));
        };
        const [decided, expired] = await Promise.all([decide(), expire()]);
        assert.deepEqual([decided, expired].sort(), ["committed", "conflict"]);
        if (decidedAt >= request.expiresAt) assert.equal(decided, "conflict");
        const state = (await store.readStatus(request.id))?.state;
        assert.equal(state, decided === "committed" ? "approved" : "expired");
      }),
    );
  });

  contractCase("commits one of 50 concurrent reservations of a token", async ({ store, reopen }) => {
    const handles = [store, await reopen()];
    const token = aToken();
    await put(store, "token", token, absent);
    const on = Array.from({ length: 50 }, (_, n) => handles[n % 2]!);
    const read = await Promise.all(on.map((handle) => handle.read("token", token.hash)));
    const reserveOn = (handle: Store, n: number) => {
      const found = read[n]!;
      const spend = {
        api: "api_1",
        audience: token.audience,
        spendId: uniqueId("spend"),
        digest: token.digest,
      };
      return put(handle, "token", assertNotRefused(reserve(found.record, spend, testNow)), found.version);
    };
    assert.deepEqual(await outcomesOf(on.map(reserveOn)), { committed: 1, of: 50 });
  });

  contractCase(
    "commits one of 30 concurrent uses of a client assertion (T46, T47)",
    async ({ store, reopen }) => {
      const handles = [store, await reopen()];
      const record = aReplay();
      const uses = Array.from({ length: 30 }, (_, n) =>
        handles[n % 2]!.commitUnlogged({ writes: [{ put: "replay", record, ifVersion: absent }] }),
      );
      assert.deepEqual(await outcomesOf(uses), { committed: 1, of: 30 });
    },
  );

  contractCase(
    "does not exceed maxPending for concurrent asks through several handles (T29)",
    async ({ store, reopen }) => {
      const handles = [store, await reopen()];
      const expiresAt = store.now() + 60_000;
      const asks = Array.from({ length: 30 }, (_, n) =>
        handles[n % 2]!.commit({
          writes: [{ put: "request", record: aRequest({ expiresAt }), ifVersion: absent }],
          maxPending: { agent: "agent_1", limit: 4 },
          entries: [anEntry()],
        }),
      );
      assert.deepEqual(await outcomesOf(asks), { committed: 4, of: 30 });
      assert.equal(await store.countPending("agent_1", store.now()), 4);
    },
  );
}

function writeApproval(
  store: Store,
  { version }: Versioned<"request">,
  record: ApprovalRequest,
  notOnOrAfter?: number,
): Promise<Outcome> {
  return store.commit({
    ...(notOnOrAfter === undefined ? {} : { notOnOrAfter }),
    writes: [{ put: "request", record, ifVersion: version }],
    entries: [anEntry({ request: record.id })],
  });
}
