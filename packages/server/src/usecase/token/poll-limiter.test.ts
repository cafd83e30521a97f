import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createPollLimiter, type PollLimiter } from "./poll-limiter.ts";

/** What a client that polls every `gapMs` is told, poll by poll. */
function polls(gapMs: number, count: number): string[] {
  const pollLimiter = createPollLimiter(() => 5);
  return Array.from({ length: count }, (_, at) => pollLimiter("ticket", at * gapMs));
}

test("the first poll may come at once and is never told to slow down", () => {
  assert.deepEqual(polls(1, 1), ["in_time"]);
});

test("a client that keeps the interval is never told to slow down", () => {
  assert.ok(polls(5_000, 100).every((word) => word === "in_time"));
});

test("T40: after slow_down the interval is five seconds longer", () => {
  const pollLimiter = createPollLimiter(() => 5);
  assert.equal(pollLimiter("ticket", 0), "in_time");
  assert.equal(pollLimiter("ticket", 1_000), "too_fast");
  assert.equal(pollLimiter("ticket", 7_000), "too_fast", "six seconds are not enough any more");
  assert.equal(pollLimiter("ticket", 17_000), "in_time");
});

test("the longer interval does not ratchet: ten seconds are enough however often it was too fast", () => {
  const pollLimiter = createPollLimiter(() => 5);
  pollLimiter("ticket", 0);
  for (let at = 1; at <= 5; at += 1) pollLimiter("ticket", at * 6_000);
  assert.equal(pollLimiter("ticket", 5 * 6_000 + 10_000), "in_time");
});

test("a client that ignores slow_down and keeps the original interval is never told to stop", () => {
  const pollLimiter = createPollLimiter(() => 5);
  pollLimiter("ticket", 0);
  pollLimiter("ticket", 100);
  for (let at = 1; at <= 200; at += 1) assert.equal(pollLimiter("ticket", 100 + at * 5_000), "too_fast");
});

test("a client that goes on far too fast is told to stop, until it slows down", () => {
  const words = polls(100, 40);
  assert.equal(words[1], "too_fast");
  assert.equal(words.at(-1), "far_too_fast");
});

test("tickets do not share a pace", () => {
  const pollLimiter = createPollLimiter(() => 5);
  assert.equal(pollLimiter("a", 0), "in_time");
  assert.equal(pollLimiter("b", 1), "in_time");
});

test("a poll beside one that is held is too fast, however long that has been held", () => {
  const pollLimiter = createPollLimiter(() => 5);
  pollLimiter("held", 0);
  for (let at = 1; at <= 10; at += 1) pollLimiter(`other-${at}`, at * 3_000);
  assert.equal(pollLimiter("held", 30_000, true), "too_fast");
});

/** The rule alone, by one that forgets nothing. */
function patientPace(intervalSeconds: number): PollLimiter {
  const polls = new Map<string, { lastAt: number; raised: boolean; hasty: number }>();
  return (id, now, held = false) => {
    const known = polls.get(id) ?? { lastAt: Number.NEGATIVE_INFINITY, raised: false, hasty: 0 };
    const gap = now - known.lastAt + 500;
    const inTime = !held && gap >= (intervalSeconds + (known.raised ? 5 : 0)) * 1000;
    const hasty = inTime || !(held || gap < intervalSeconds * 1000) ? 0 : known.hasty + 1;
    polls.set(id, { lastAt: now, raised: known.raised || !inTime, hasty });
    if (inTime) return "in_time";
    return hasty > 12 ? "far_too_fast" : "too_fast";
  };
}

test("what it forgets makes no difference to any client", () => {
  const poll = fc.record({
    id: fc.constantFrom("a", "b", "c", "d"),
    afterMs: fc.constantFrom(0, 1, 400, 2_000, 4_499, 4_500, 5_000, 9_499, 9_500, 12_000),
    held: fc.constantFrom(false, false, false, true),
  });
  fc.assert(
    fc.property(fc.array(poll, { maxLength: 60 }), fc.constantFrom(1, 5, 60), (polls, interval) => {
      const [pollLimiter, patient] = [createPollLimiter(() => interval), patientPace(interval)];
      let now = 1_800_000_000_000;
      for (const { id, afterMs, held } of polls) {
        now += afterMs;
        assert.equal(pollLimiter(id, now, held), patient(id, now, held));
      }
    }),
  );
});
