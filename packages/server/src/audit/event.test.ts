import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Event, events, findEvent, listHistoryMembers, toCurrentEvent } from "./event.ts";

describe("audit event catalogue", () => {
  test("a former name leads to the current definition and is not an event", () => {
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

  test("unknown names and names of Object.prototype have no definition", () => {
    for (const name of ["request.exploded", "toString", "__proto__", ""]) {
      assert.equal(findEvent(name), undefined, name);
      assert.equal(listHistoryMembers(name), undefined, name);
    }
  });

  test("events of a request's history name request and agent", () => {
    for (const name of Object.keys(events)) {
      const members = listHistoryMembers(name);
      if (members) assert.ok(members.includes("request") && members.includes("agent"), name);
    }
  });
});
