import assert from "node:assert/strict";
import { test } from "node:test";
import { createPace } from "./pace.ts";

/** What a client that polls every `gapMs` is told, poll by poll. */
function polls(gapMs: number, count: number): string[] {
  const pace = createPace(5);
  return Array.from({ length: count }, (_, at) => pace("ticket", at * gapMs));
}

test("the first poll may come at once and is never told to slow down", () => {
  assert.deepEqual(polls(1, 1), ["in_time"]);
});

test("a client that keeps the interval is never told to slow down", () => {
  assert.ok(polls(5_000, 100).every((word) => word === "in_time"));
});

test("T40: after slow_down the interval is five seconds longer", () => {
  const pace = createPace(5);
  assert.equal(pace("ticket", 0), "in_time");
  assert.equal(pace("ticket", 1_000), "too_fast");
  assert.equal(pace("ticket", 7_000), "too_fast", "six seconds are not enough any more");
  assert.equal(pace("ticket", 17_000), "in_time");
});

test("the longer interval does not ratchet: ten seconds are enough however often it was too fast", () => {
  const pace = createPace(5);
  pace("ticket", 0);
  for (let at = 1; at <= 5; at += 1) pace("ticket", at * 6_000);
  assert.equal(pace("ticket", 5 * 6_000 + 10_000), "in_time");
});

test("a client that ignores slow_down and keeps the original interval is never told to stop", () => {
  const pace = createPace(5);
  pace("ticket", 0);
  pace("ticket", 100);
  for (let at = 1; at <= 200; at += 1) assert.equal(pace("ticket", 100 + at * 5_000), "too_fast");
});

test("a client that goes on far too fast is told to stop, until it slows down", () => {
  const words = polls(100, 40);
  assert.equal(words[1], "too_fast");
  assert.equal(words.at(-1), "far_too_fast");
});

test("tickets do not share a pace", () => {
  const pace = createPace(5);
  assert.equal(pace("a", 0), "in_time");
  assert.equal(pace("b", 1), "in_time");
});
