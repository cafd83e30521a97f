import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { inspect } from "node:util";
import { audience, type Reply, type StandIn, standIn, start, testClock } from "../test/stand-in.ts";
import {
  type Action,
  createVerifier,
  type Problem,
  type Reservation,
  type Verifier,
  type VerifierOptions,
} from "./verifier.ts";

let stand: StandIn;
let clock: ReturnType<typeof testClock>;
let problems: Problem[];
let verifier: Verifier;
let token: string;
const refund = { type: "refund", order: "A-1001", amount: "10000.00" };

const newVerifier = (options?: Partial<VerifierOptions>) =>
  createVerifier({
    issuer: stand.issuer,
    audience,
    clientId: "payments-api",
    clientSecret: "s3cret:/+ ",
    clock,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
const mustNotRun = (): never => assert.fail("it ran");
const operations = () => stand.spends.map(({ form }) => form.get("operation"));
const stateOf = (token: string) => stand.tokens.get(token)?.state;
const refusal = (error: string, status = 409): Reply => ({
  status,
  body: { error, error_description: error },
});

before(async () => {
  stand = await standIn();
});
after(() => stand.close());
beforeEach(async () => {
  clock = testClock();
  problems = [];
  stand.spends.length = 0;
  stand.replies = [];
  verifier = newVerifier();
  token = await stand.issue(refund);
});

describe("spend", () => {
  test("reserves, runs, completes, in this order, and returns the result", async () => {
    const answer = await verifier.spend(`Bearer ${token}`, refund, async (spent) => {
      assert.equal(stateOf(token), "reserved");
      assert.deepEqual(spent.action, refund);
      assert.equal(spent.agent, "refunder");
      assert.deepEqual(spent.approvedBy, ["appr_1"]);
      return "refunded";
    });
    assert(answer.outcome === "done");
    assert.equal(answer.result, "refunded");
    assert.equal(stateOf(token), "completed");
    const [reserve, complete] = stand.spends;
    const spendId = answer.spent.spendId;
    assert.match(spendId, /^[\w-]{22}$/);
    assert.deepEqual(Object.fromEntries(reserve!.form), {
      operation: "reserve",
      token,
      spend_id: spendId,
      act_digest: answer.spent.digest,
    });
    assert.deepEqual(Object.fromEntries(complete!.form), { operation: "complete", token, spend_id: spendId });
    assert.equal(reserve!.headers.authorization, `Basic ${btoa("payments-api:s3cret%3A%2F%2B+")}`);
    assert.deepEqual(problems, []);
  });

  test("rejects a spent token with 401, without running the call (T17)", async () => {
    await verifier.spend(token, refund, () => {});
    const again = await verifier.spend(token, refund, mustNotRun);
    assert(again.outcome === "rejected");
    assert.equal(again.reason, "already_spent");
    assert.equal(again.status, 401);
    assert.match(
      again.headers["www-authenticate"]!,
      /error="invalid_token", error_description="The token has been used"/,
    );
  });

  test("runs one of 50 concurrent spends of one token by two nodes (T18)", async () => {
    const nodes = [newVerifier(), newVerifier()];
    let runs = 0;
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        nodes[at % 2]!.spend(token, refund, () => {
          runs += 1;
        }),
      ),
    );
    assert.equal(runs, 1);
    assert.equal(answers.filter(({ outcome }) => outcome === "done").length, 1);
    assert.equal(new Set(stand.spends.map(({ form }) => form.get("spend_id"))).size, 50);
  });

  test("fails the spend for an error of run, and throws it unchanged", async () => {
    const failure = new Error("the ledger is closed");
    await assert.rejects(
      verifier.spend(token, refund, () => {
        throw failure;
      }),
      failure,
    );
    assert.equal(stateOf(token), "failed");
    const again = await verifier.spend(token, refund, mustNotRun);
    assert(again.outcome === "rejected" && again.reason === "already_spent");
  });

  test("runs no other call, uses no token, and reports it to the server for its log (T9)", async () => {
    const other = { ...refund, amount: "10000.01" };
    const answer = await verifier.spend(token, other, mustNotRun);
    assert(answer.outcome === "rejected");
    assert.equal(answer.status, 403);
    assert.deepEqual(answer.differs, ["amount"]);
    assert.deepEqual(operations(), ["reserve"]);
    assert.equal(stateOf(token), "issued");
    assert.equal((await verifier.spend(token, refund, () => {})).outcome, "done");

    stand.replies = ["hang up"];
    const unheard = await verifier.spend(token, other, mustNotRun);
    assert(unheard.outcome === "rejected" && unheard.reason === "digest_mismatch");
  });

  test("sends no spend request for a call without an action, or with a redefined type", async () => {
    const pinned = newVerifier({ pinnedTypes: { refund: "u".repeat(43) } });
    assert.equal((await pinned.spend(token, refund, mustNotRun)).outcome, "rejected");
    assert.equal((await verifier.spend(token, (() => undefined) as never, mustNotRun)).outcome, "rejected");
    assert.equal(
      (await verifier.spend(token, { ...refund, amount: 0.5 } as Action, mustNotRun)).outcome,
      "rejected",
    );
    assert.deepEqual(operations(), []);
    assert.equal(stateOf(token), "issued");
  });

  test("rejects a token that expires between check and spend (T11)", async () => {
    stand.replies = [refusal("expired_token")];
    const answer = await verifier.spend(token, refund, mustNotRun);
    assert(answer.outcome === "rejected");
    assert.equal(answer.reason, "expired_token");
    assert.equal(answer.status, 401);
  });

  test("returns a separate rejection for each refusal of the server", async () => {
    for (const [error, status] of [
      ["invalid_token", 401],
      ["expired_token", 401],
      ["already_spent", 401],
      ["digest_mismatch", 403],
    ] as const) {
      stand.replies = [refusal(error)];
      const answer = await verifier.spend(token, refund, mustNotRun);
      assert(answer.outcome === "rejected");
      assert.deepEqual([answer.reason, answer.status], [error, status]);
    }
  });

  test("retries a reservation after a lost response with the same spend id, and runs once", async () => {
    stand.replies = ["hang up after", { status: 502 }];
    let runs = 0;
    const answer = await verifier.spend(token, refund, () => {
      runs += 1;
    });
    assert.equal(answer.outcome, "done");
    assert.equal(runs, 1);
    assert.deepEqual(operations(), ["reserve", "reserve", "reserve", "complete"]);
    assert.equal(new Set(stand.spends.map(({ form }) => form.get("spend_id"))).size, 1);
    assert.deepEqual(clock.slept, [100, 500]);
  });

  test("rejects with 503 after three attempts if the server is unreachable; nothing runs", async () => {
    stand.replies = ["hang up after", "hang up", { status: 200, body: "<html>" }];
    const answer = await verifier.spend(token, refund, mustNotRun);
    assert(answer.outcome === "rejected");
    assert.deepEqual(
      [answer.reason, answer.status, answer.headers["retry-after"]],
      ["unavailable", 503, "1"],
    );
    assert.deepEqual(operations(), ["reserve", "reserve", "reserve"]);
    assert.deepEqual(
      problems.map(({ during, abandoned }) => [during, abandoned]),
      [["reserve", true]],
    );
    assert.equal(stateOf(token), "reserved");
  });

  test("returns a Retry-After of more than one second to the caller instead of waiting", async () => {
    stand.replies = [
      { status: 503, body: { error: "temporarily_unavailable" }, headers: { "retry-after": "9" } },
    ];
    const answer = await verifier.spend(token, refund, mustNotRun);
    assert(answer.outcome === "rejected");
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "9"]);
    assert.deepEqual(operations(), ["reserve"]);
  });

  test("rejects with an error if the server rejects the API's credentials; nothing runs", async () => {
    for (const reply of [
      refusal("invalid_client", 401),
      refusal("invalid_request", 400),
      { status: 404, body: {} },
    ] as const) {
      stand.replies = [reply];
      const spending = verifier.spend(token, refund, mustNotRun);
      await assert.rejects(spending, (error: Error) => {
        assert.match(error.message, /does not accept this API's requests: 40[014]/);
        return !inspect(error, { depth: 9 }).includes("s3cret");
      });
    }
  });

  test("rejects a response about another token, spend, call or state", async () => {
    const changed = [{ state: "completed" }, { spend_id: "x" }, { jti: "tok_0" }, { act_digest: "x" }];
    for (const members of changed) {
      const altering: typeof fetch = async (url, init) => {
        const response = await fetch(url, init);
        if (!`${url}`.endsWith("/spend")) return response;
        return Response.json({ ...((await response.json()) as object), ...members });
      };
      const spending = newVerifier({ fetch: altering }).spend(await stand.issue(refund), refund, mustNotRun);
      await assert.rejects(spending, /reserved another token or action/);
    }
    for (const body of ["{}", "[]", "null", "7"]) {
      stand.replies = [{ status: 200, body }];
      await assert.rejects(verifier.spend(token, refund, mustNotRun), /reserved another token or action/);
    }
  });

  test("retries an unreported completion in the background, and returns the result (T23)", async () => {
    const answer = await verifier.spend(token, refund, () => {
      stand.replies = ["hang up", { status: 503 }];
      return "refunded";
    });
    assert(answer.outcome === "done");
    assert.equal(answer.result, "refunded");
    await verifier.settled();
    assert.equal(stateOf(token), "completed");
    assert.deepEqual(clock.slept, [1_000, 4_000]);
    const jti = answer.spent.jti;
    assert.deepEqual(
      problems.map(({ during, jti, abandoned }) => ({ during, jti, abandoned })),
      [
        { during: "complete", jti, abandoned: false },
        { during: "complete", jti, abandoned: false },
      ],
    );
  });

  test("abandons a completion after five attempts, or at once if it is rejected (T23)", async () => {
    await verifier.spend(token, refund, () => {
      stand.replies = Array<Reply>(5).fill("hang up");
    });
    await verifier.settled();
    assert.deepEqual(clock.slept, [1_000, 4_000, 15_000, 60_000]);
    assert.deepEqual(
      problems.map(({ abandoned }) => abandoned),
      [false, false, false, false, true],
    );
    assert.equal(stateOf(token), "reserved");

    problems.length = 0;
    clock.at = start;
    await verifier.spend(await stand.issue(refund), refund, () => {
      stand.replies = [refusal("already_spent")];
    });
    await verifier.settled();
    assert.deepEqual(
      problems.map(({ abandoned, error }) => [abandoned, error.message]),
      [[true, "the spend endpoint returned 409 already_spent"]],
    );
  });

  test("retries a failure that cannot be reported, and throws the error of run", async () => {
    const failure = new Error("the ledger is closed");
    await assert.rejects(
      verifier.spend(token, refund, () => {
        stand.replies = ["hang up"];
        throw failure;
      }),
      failure,
    );
    await verifier.settled();
    assert.equal(stateOf(token), "failed");
    assert.deepEqual(
      problems.map(({ during }) => during),
      ["fail"],
    );
  });

  test("ignores an error of onProblem", async () => {
    const touchy = createVerifier({
      issuer: stand.issuer,
      audience,
      clientId: "payments-api",
      clientSecret: "s3cret",
      clock,
      onProblem: () => {
        throw new Error("pager is down");
      },
    });
    stand.replies = ["hang up", "hang up", "hang up"];
    assert.equal((await touchy.spend(token, refund, mustNotRun)).outcome, "rejected");
  });

  test("applies only the first end of a reservation", async () => {
    const reservation = (await verifier.reserve(token, refund)) as Reservation;
    await Promise.all([reservation.complete(), reservation.fail(), reservation.complete()]);
    assert.deepEqual(operations(), ["reserve", "complete"]);
    assert.equal(stateOf(token), "completed");
  });

  test("leaves the token reserved if the process dies before complete, and never runs again (T21)", async () => {
    await verifier.reserve(token, refund);
    const afterRestart = await newVerifier().spend(token, refund, mustNotRun);
    assert(afterRestart.outcome === "rejected" && afterRestart.reason === "already_spent");
    assert.equal(stateOf(token), "reserved");
  });

  test("completes after the token has expired", async () => {
    const answer = await verifier.spend(token, refund, () => {
      clock.at = start + 3_600_000;
    });
    assert.equal(answer.outcome, "done");
    assert.equal(stateOf(token), "completed");
  });
});

// Type checks only: this code does not run.
export function typesHold() {
  // @ts-expect-error the action is required
  verifier.spend(token, () => {});
  // @ts-expect-error run is required
  verifier.spend(token, refund);
}
