import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createPollLimiter, type PollLimiter } from "./poll-limiter.ts";

/** Returns the results of polls every `gapMs`. */
function polls(gapMs: number, count: number): string[] {
  const pollLimiter = createPollLimiter(() => 5);
  return Array.from({ length: count }, (_, at) => pollLimiter("id", at * gapMs));
}

describe("createPollLimiter", () => {
  test("allows an immediate first poll", () => {
    assert.deepEqual(polls(1, 1), ["ok"]);
  });

  test("allows polls at the interval", () => {
    assert.ok(polls(5_000, 100).every((result) => result === "ok"));
  });

  test("requires five more seconds after slow_down (T40)", () => {
    const pollLimiter = createPollLimiter(() => 5);
    assert.equal(pollLimiter("id", 0), "ok");
    assert.equal(pollLimiter("id", 1_000), "slow_down");
    assert.equal(pollLimiter("id", 7_000), "slow_down", "a gap of 6 s is below the raised interval of 10 s");
    assert.equal(pollLimiter("id", 17_000), "ok");
  });

  test("raises the interval only once", () => {
    const pollLimiter = createPollLimiter(() => 5);
    pollLimiter("id", 0);
    for (let at = 1; at <= 5; at += 1) pollLimiter("id", at * 6_000);
    assert.equal(pollLimiter("id", 5 * 6_000 + 10_000), "ok");
  });

  test("never rejects a client that keeps the original interval", () => {
    const pollLimiter = createPollLimiter(() => 5);
    pollLimiter("id", 0);
    pollLimiter("id", 100);
    for (let at = 1; at <= 200; at += 1) assert.equal(pollLimiter("id", 100 + at * 5_000), "slow_down");
  });

  test("rejects a client that keeps polling far too fast", () => {
    const results = polls(100, 40);
    assert.equal(results[1], "slow_down");
    assert.equal(results.at(-1), "rate_limited");
  });

  test("limits each auth_req_id separately", () => {
    const pollLimiter = createPollLimiter(() => 5);
    assert.equal(pollLimiter("a", 0), "ok");
    assert.equal(pollLimiter("b", 1), "ok");
  });

  test("returns slow_down while an earlier poll waits", () => {
    const pollLimiter = createPollLimiter(() => 5);
    pollLimiter("polled", 0);
    for (let at = 1; at <= 10; at += 1) pollLimiter(`other-${at}`, at * 3_000);
    assert.equal(pollLimiter("polled", 30_000, true), "slow_down");
  });

  /** Reference implementation that never forgets an id. */
  function createReferenceLimiter(intervalSeconds: number): PollLimiter {
    const polls = new Map<string, { lastAt: number; raised: boolean; fastPolls: number }>();
    return (id, now, isWaiting = false) => {
      const entry = polls.get(id) ?? { lastAt: Number.NEGATIVE_INFINITY, raised: false, fastPolls: 0 };
      const gap = now - entry.lastAt + 500;
      const inTime = !isWaiting && gap >= (intervalSeconds + (entry.raised ? 5 : 0)) * 1000;
      const fastPolls = inTime || !(isWaiting || gap < intervalSeconds * 1000) ? 0 : entry.fastPolls + 1;
      polls.set(id, { lastAt: now, raised: entry.raised || !inTime, fastPolls });
      if (inTime) return "ok";
      return fastPolls > 12 ? "rate_limited" : "slow_down";
    };
  }

  test("matches a limiter that never forgets", () => {
    const poll = fc.record({
      id: fc.constantFrom("a", "b", "c", "d"),
      afterMs: fc.constantFrom(0, 1, 400, 2_000, 4_499, 4_500, 5_000, 9_499, 9_500, 12_000),
      isWaiting: fc.constantFrom(false, false, false, true),
    });
    fc.assert(
      fc.property(fc.array(poll, { maxLength: 60 }), fc.constantFrom(1, 5, 60), (polls, interval) => {
        const [pollLimiter, reference] = [
          createPollLimiter(() => interval),
          createReferenceLimiter(interval),
        ];
        let now = 1_800_000_000_000;
        for (const { id, afterMs, isWaiting } of polls) {
          now += afterMs;
          assert.equal(pollLimiter(id, now, isWaiting), reference(id, now, isWaiting));
        }
      }),
    );
  });
});
