import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "@countersign/protocol";
import type { Store } from "../store/store.ts";
import { entryFields } from "./entry-fields.ts";
import { openLogger } from "./logger.ts";

function logger(settings: Parameters<typeof openLogger>[0]) {
  const lines: any[] = [];
  const opened = openLogger(settings, { write: (line) => void lines.push(JSON.parse(line)) });
  return { ...opened, lines };
}

test("a line has time, level and event, and nothing of the machine", () => {
  const { say, lines } = logger({ level: "info", accessLog: false });
  say("started", { version: "0.1.0" });
  assert.deepEqual(Object.keys(lines[0]), ["level", "time", "version", "event"]);
});

test("below the configured level nothing is written", () => {
  const { say, fault, onResponse: answered, lines } = logger({ level: "warn", accessLog: true });
  say("started", {});
  answered?.("/spend", 200, 0.001);
  answered?.("/spend", 503, 0.001);
  fault(new Error("x"), "sweep");
  assert.deepEqual(
    lines.map(({ level, event, where }) => [level, event, where]),
    [
      ["warn", "answer", undefined],
      ["error", "fault", "sweep"],
    ],
  );
});

test("answers are measured only where a line for each is wanted, and probes that succeed get none", () => {
  assert.equal(logger({ level: "info", accessLog: false }).onResponse, undefined);
  assert.equal(logger({ level: "error", accessLog: true }).onResponse, undefined);
  const { onResponse: answered, lines } = logger({ level: "info", accessLog: true });
  answered?.("/readyz", 200, 0.001);
  answered?.("/readyz", 503, 0.001);
  answered?.("/oauth/token", 400, 0.012345);
  assert.deepEqual(
    lines.map(({ route, status, ms }) => [route, status, ms]),
    [
      ["/readyz", 503, 1],
      ["/oauth/token", 400, 12.35],
    ],
  );
});

test("of an entry go out the ids, and those facts that nobody but the operator can word", () => {
  const entry: Entry = {
    v: 1,
    id: "log_1",
    at: 1,
    event: "device.enrolled",
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
  const { at, members } = entryFields(entry);
  assert.equal(at, "info");
  assert.deepEqual(JSON.parse(JSON.stringify(members)), {
    entry: "log_1",
    agent: "agent-1",
    types: ["a", "b"],
  });
  assert.equal(entryFields({ ...entry, event: "token.unknown" }).at, "warn");
});

test("the fault that ends the process is written before anything else happens", () => {
  const order: string[] = [];
  const { crash } = openLogger(
    { level: "error", accessLog: false },
    { write: (line) => order.push(JSON.parse(line).event), flushSync: () => order.push("flushed") },
  );
  crash(new Error("x"));
  assert.deepEqual(order, ["crash", "flushed"]);
});

test("where only faults are written the store is left as it is", () => {
  const store = {} as Store;
  assert.equal(logger({ level: "error", accessLog: false }).observe(store), store);
});

test("a fault that happens all the time is one line, and another is another", () => {
  const { fault, lines } = logger({ level: "error", accessLog: false });
  for (let n = 0; n < 50; n += 1) fault(new Error("the database is away"), "sweep");
  fault(new Error("the database is away"), "deliver");
  fault(new Error("the disk is full"), "sweep");
  assert.deepEqual(
    lines.map(({ where, fault: { message } }) => `${where}: ${message}`),
    ["sweep: the database is away", "deliver: the database is away", "sweep: the disk is full"],
  );
});
