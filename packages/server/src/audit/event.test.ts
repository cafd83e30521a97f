import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Event, events, findEvent, listHistoryMembers, toCurrentEvent } from "./event.ts";

describe("audit event catalogue", () => {
  test("returns the current definition for a former name, which is not an event", () => {
    const former = Object.entries(events).flatMap(([name, definition]) =>
      "formerly" in definition ? [[definition.formerly, name] as const] : [],
    );
    assert.equal(former.length, 7);
    for (const [old, name] of former) {
      assert.equal(toCurrentEvent(old), name);
      assert.equal(findEvent(old), events[name as Event]);
      assert.ok(!Object.hasOwn(events, old), old);
    }
  });

  test("returns no definition for unknown names and names of Object.prototype", () => {
    for (const name of ["request.exploded", "toString", "__proto__", ""]) {
      assert.equal(findEvent(name), undefined, name);
      assert.equal(listHistoryMembers(name), undefined, name);
    }
  });

  test("requires request and agent in events of a request's history", () => {
    for (const name of Object.keys(events)) {
      const members = listHistoryMembers(name);
      if (members) assert.ok(members.includes("request") && members.includes("agent"), name);
    }
  });
});
