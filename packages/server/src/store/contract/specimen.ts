/** Records and log entries for the store's tests, each valid, each with an id of its own. Made for tests alone. */
import { commitText } from "@countersign/protocol";
import type { Approval, Decision } from "../../approval/approval.ts";
import type { Approver, Device, Session } from "../../approver/approver.ts";
import type { Callback } from "../../client/callback.ts";
import type { Agent } from "../../client/client.ts";
import type { Token } from "../../token/token.ts";
import type { AskKey, Latch, Message, Replay } from "../record.ts";
import { absent, type Change, type NewEntry, type Store, type Write } from "../store.ts";

/** An instant in 2026; the store's own clock is asked only where a rule is about it. */
export const noon = Date.UTC(2026, 0, 15, 12);

let serial = 0;

/** Ids sort in the order in which they were made, as real ones do. */
export function freshId(prefix: string): string {
  serial += 1;
  return `${prefix}_${String(serial).padStart(8, "0")}`;
}

export function anEntry(
  about: Partial<NewEntry["entry"]> = {},
  texts: { [name: string]: string } = {},
): NewEntry {
  const opened: { [name: string]: { text: string; salt: string } } = {};
  const commitments: { [name: string]: string } = {};
  for (const [name, text] of Object.entries(texts)) {
    const { commitment, salt } = commitText(text);
    opened[name] = { text, salt };
    commitments[name] = commitment;
  }
  const entry = { v: 1 as const, id: freshId("log"), at: noon, event: "store.tested", ...about };
  return { entry: Object.keys(texts).length > 0 ? { ...entry, texts: commitments } : entry, texts: opened };
}

export function anAgent(given: Partial<Agent> = {}): Agent {
  return {
    id: freshId("agent"),
    name: "Refund agent",
    credential: { method: "client_secret_basic", secretHash: "c2VjcmV0" },
    delivery: { mode: "poll" },
    userCode: false,
    types: ["refund"],
    paused: false,
    source: "command",
    createdAt: noon,
    ...given,
  };
}

export function anApprover(given: Partial<Approver> = {}): Approver {
  const id = freshId("apr");
  return { id, email: `${id}@example.com`, name: "Ada Example", createdAt: noon, ...given };
}

export function aDevice(given: Partial<Device> = {}): Device {
  const id = freshId("dev");
  return {
    id,
    approver: "apr_1",
    name: "phone",
    publicKey: "a2V5",
    counter: 0,
    transports: [],
    createdAt: noon,
    ...given,
  };
}

export function aSession(given: Partial<Session> = {}): Session {
  const id = freshId("ses");
  return {
    id,
    approver: "apr_1",
    device: "dev_1",
    authenticatedAt: noon,
    expiresAt: noon + 60_000,
    ...given,
  };
}

export function anApproval(given: Partial<Approval> = {}): Approval {
  const id = freshId("req");
  const expiresAt = given.expiresAt ?? noon + 300_000;
  const digest = "9v1HnO0wZ4Yp6tq8xk3mGdQ2cF5bJ7aL0sR1uT4eW8o";
  return {
    id,
    agent: "agent_1",
    parts: [
      {
        type: "refund",
        typeHash: "t-hash",
        bound: { order: "A-1009", amount: "10000.00", currency: "EUR" },
        latchKey: "latch_1",
      },
    ],
    audience: "https://refunds.example.com",
    digest,
    card: {
      v: 1,
      type: "refund",
      agent: { id: "agent_1", name: "Refund agent" },
      sentence: [{ text: "Refund " }, { value: "€10,000.00", field: "amount" }],
      rows: [{ label: "Order", value: "A-1009", field: "order" }],
      words: { message: "The customer was charged twice.", rows: [] },
      reversibility: "irreversible",
      level: "passkey",
      audience: "https://refunds.example.com",
      digest,
      expiresAt,
      salt: "c2FsdHNhbHRzYWx0c2FsdA",
    },
    cardHash: "c-hash",
    scope: "openid",
    candidates: ["apr_1"],
    level: "passkey",
    tokenLifetimeSeconds: 60,
    askKey: "ask_1",
    delivery: "poll",
    createdAt: noon,
    decideBy: expiresAt,
    expiresAt,
    standing: { state: "pending" },
    ...given,
  };
}

export function aDecision(given: Partial<Decision> = {}): Decision {
  return {
    approver: "apr_1",
    at: noon,
    level: "passkey",
    authenticatedAt: noon,
    amr: ["hwk", "user"],
    ...given,
  };
}

export function aToken(given: Partial<Token> = {}): Token {
  return {
    hash: freshId("hash"),
    jti: freshId("tok"),
    approval: "req_1",
    agent: "agent_1",
    subject: "apr_1",
    approvedBy: ["apr_1"],
    parts: [{ type: "refund", typeHash: "t-hash", bound: { order: "A-1009" } }],
    audience: "https://refunds.example.com",
    scope: "openid",
    digest: "digest",
    issuedAt: noon,
    expiresAt: noon + 60_000,
    state: "issued",
    ...given,
  };
}

export function aLatch(given: Partial<Latch> = {}): Latch {
  const id = freshId("latch");
  return {
    id,
    agent: "agent_1",
    type: "refund",
    subject: { order: "A-1009" },
    approval: "req_1",
    deniedAt: noon,
    ...given,
  };
}

export function anAskKey(given: Partial<AskKey> = {}): AskKey {
  return { id: freshId("ask"), approval: "req_1", content: "content", keptUntil: noon + 60_000, ...given };
}

export function aReplay(given: Partial<Replay> = {}): Replay {
  return { id: freshId("jti"), expiresAt: noon + 60_000, ...given };
}

export function aMessage(given: Partial<Message> = {}): Message {
  return {
    id: freshId("msg"),
    channel: "mail",
    approval: "req_1",
    approver: "apr_1",
    attempts: 0,
    state: "waiting",
    dueAt: noon,
    ...given,
  };
}

export function aCallback(given: Partial<Callback> = {}): Callback {
  return {
    id: freshId("req"),
    agent: "agent_1",
    mode: "ping",
    sealedToken: "c2VhbGVk",
    state: "waiting",
    attempts: 0,
    dueAt: noon,
    ...given,
  };
}

/** A change with something of everything in it, all of it found again by `name`. */
export function aWholeChange(name: string, guard?: Write): Change {
  const approval = anApproval({ id: `req_${name}`, candidates: [`apr_${name}`] });
  const request = approval.id;
  return {
    writes: [
      { put: "approval", record: approval, expect: absent },
      { put: "latch", record: aLatch({ id: `latch_${name}` }), expect: absent },
      { put: "message", record: aMessage({ id: `msg_${name}` }), expect: absent },
      ...(guard ? [guard] : []),
    ],
    entries: [
      anEntry({ id: `log_${name}_1`, request }, { reason: "too much", note: "ask again" }),
      anEntry({ id: `log_${name}_2`, request }),
    ],
  };
}

/** How much of `aWholeChange(name)` is there: everything, nothing, or the parts by name. */
export async function partsOf(store: Store, name: string): Promise<"all" | "nothing" | readonly string[]> {
  const inbox = await store.waitingFor(`apr_${name}`);
  const entries = await store.log.newest(9, `req_${name}`);
  const parts = {
    approval: await store.read("approval", `req_${name}`),
    inbox: inbox.find(({ id }) => id === `req_${name}`),
    latch: await store.read("latch", `latch_${name}`),
    message: await store.read("message", `msg_${name}`),
    first: await store.log.holds(`log_${name}_1`),
    second: await store.log.holds(`log_${name}_2`),
    both: entries.length === 2,
    reason: entries.some(({ texts }) => texts.reason?.text === "too much"),
    note: entries.some(({ texts }) => texts.note?.text === "ask again"),
  };
  const found = Object.entries(parts).flatMap(([part, there]) => (there ? [part] : []));
  if (found.length === 0) return "nothing";
  return found.length === Object.keys(parts).length ? "all" : found;
}
