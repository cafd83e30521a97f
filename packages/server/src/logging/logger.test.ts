import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Entry } from "@countersign/protocol";
import type { Store } from "../store/store.ts";
import { toEntryFields } from "./entry-fields.ts";
import { openLogger } from "./logger.ts";

function openTestLogger(settings: Parameters<typeof openLogger>[0]) {
  const lines: any[] = [];
  const opened = openLogger(settings, { write: (line) => void lines.push(JSON.parse(line)) });
  return { ...opened, lines };
}

describe("openLogger", () => {
  test("writes time, level and event, but no hostname or pid", () => {
    const { logEvent, lines } = openTestLogger({ level: "info", accessLog: false });
    logEvent("started", { version: "0.1.0" });
    assert.deepEqual(Object.keys(lines[0]), ["level", "time", "version", "event"]);
  });

  test("writes nothing below the configured level", () => {
    const { logEvent, logFault, onResponse, lines } = openTestLogger({ level: "warn", accessLog: true });
    logEvent("started", {});
    onResponse?.("/spend", 200, 0.001);
    onResponse?.("/spend", 503, 0.001);
    logFault(new Error("x"), "sweep");
    assert.deepEqual(
      lines.map(({ level, event, operation }) => [level, event, operation]),
      [
        ["warn", "request", undefined],
        ["error", "fault", "sweep"],
      ],
    );
  });

  test("logs responses only with access_log, and no successful probes", () => {
    assert.equal(openTestLogger({ level: "info", accessLog: false }).onResponse, undefined);
    assert.equal(openTestLogger({ level: "error", accessLog: true }).onResponse, undefined);
    const { onResponse, lines } = openTestLogger({ level: "info", accessLog: true });
    onResponse?.("/readyz", 200, 0.001);
    onResponse?.("/readyz", 503, 0.001);
    onResponse?.("/oauth/token", 400, 0.012345);
    assert.deepEqual(
      lines.map(({ route, status, ms }) => [route, status, ms]),
      [
        ["/readyz", 503, 1],
        ["/oauth/token", 400, 12.35],
      ],
    );
  });

  test("logs ids, the actor type and operator-chosen facts of an entry", () => {
    const entry: Entry = {
      v: 2,
      id: "log_1",
      at: 1,
      event: "device.enrolled",
      actor: { type: "approver", id: "appr_1", via: "page" },
      approver: "appr_1",
      agent: "agent-1",
      digest: "d",
      facts: {
        credential: "c",
        public_key: "k",
        name: "Ada",
        changed: { client_name: "x" },
        types: ["a", "b"],
      },
      texts: { card: "commitment" },
    };
    const { severity, fields } = toEntryFields(entry);
    assert.equal(severity, "info");
    assert.deepEqual(JSON.parse(JSON.stringify(fields)), {
      entry: "log_1",
      actor: "approver",
      via: "page",
      agent: "agent-1",
      types: ["a", "b"],
    });
    assert.equal(toEntryFields({ ...entry, event: "token.unknown" }).severity, "warn");
  });

  test("writes a crash synchronously", () => {
    const order: string[] = [];
    const { logCrash } = openLogger(
      { level: "error", accessLog: false },
      { write: (line) => order.push(JSON.parse(line).event), flushSync: () => order.push("flushed") },
    );
    logCrash(new Error("x"));
    assert.deepEqual(order, ["crash", "flushed"]);
  });

  test("does not observe the store at level error", () => {
    const store = {} as Store;
    assert.equal(openTestLogger({ level: "error", accessLog: false }).observe(store), store);
  });

  test("logs a repeated fault once", () => {
    const { logFault, lines } = openTestLogger({ level: "error", accessLog: false });
    for (let n = 0; n < 50; n += 1) logFault(new Error("the database is away"), "sweep");
    logFault(new Error("the database is away"), "deliver");
    logFault(new Error("the disk is full"), "sweep");
    assert.deepEqual(
      lines.map(({ operation, fault: { message } }) => `${operation}: ${message}`),
      ["sweep: the database is away", "deliver: the database is away", "sweep: the disk is full"],
    );
  });
});
