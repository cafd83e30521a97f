/** Test fixtures: valid records and log entries, each with a unique id. */
import { commitText } from "@countersign/protocol";
import type { NewEntry } from "../../audit/new-entry.ts";
import type { Callback } from "../../domain/callback/callback.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver, Device, Session } from "../../domain/people/approver.ts";
import type { ApprovalRequest, Decision } from "../../domain/request/request.ts";
import type { Token } from "../../domain/token/token.ts";
import type { Contact } from "../record/contact.ts";
import type { DedupeKey } from "../record/dedupe-key.ts";
import type { Denial } from "../record/denial.ts";
import type { Message } from "../record/message.ts";
import type { Replay } from "../record/replay.ts";
import { absent, type Change, type Store, type Write } from "../store.ts";

/** A fixed time in 2026. Tests use the clock of the store only where a rule depends on it. */
export const testNow = Date.UTC(2026, 0, 15, 12);

let serial = 0;

/** Returns a new id. Ids sort by creation, like real ones. */
export function uniqueId(prefix: string): string {
  serial += 1;
  return `${prefix}_${String(serial).padStart(8, "0")}`;
}

export function anEntry(
  overrides: Omit<Partial<NewEntry["entry"]>, "v" | "actor"> = {},
  texts: { [name: string]: string } = {},
): NewEntry {
  const openings: { [name: string]: { text: string; salt: string } } = {};
  const commitments: { [name: string]: string } = {};
  for (const [name, text] of Object.entries(texts)) {
    const { commitment, salt } = commitText(text);
    openings[name] = { text, salt };
    commitments[name] = commitment;
  }
  const entry = {
    v: 2,
    id: uniqueId("log"),
    at: testNow,
    event: "store.tested",
    actor: { type: "system", via: "job" },
    ...overrides,
  } as const;
  return { entry: Object.keys(texts).length > 0 ? { ...entry, texts: commitments } : entry, texts: openings };
}

export function anAgent(overrides: Partial<Agent> = {}): Agent {
  return {
    id: uniqueId("agent"),
    name: "Refund agent",
    credential: { method: "client_secret_basic", secretHash: "c2VjcmV0" },
    delivery: { mode: "poll" },
    userCode: false,
    types: ["refund"],
    paused: false,
    source: "command",
    createdAt: testNow,
    ...overrides,
  };
}

export function anApprover(overrides: Partial<Approver> = {}): Approver {
  const id = uniqueId("apr");
  return { id, email: `${id}@example.com`, name: "Ada Example", createdAt: testNow, ...overrides };
}

export function aContact(overrides: Partial<Contact> = {}): Contact {
  const id = uniqueId("con");
  return {
    id,
    approver: "apr_1",
    channel: "chat",
    address: `address of ${id}`,
    verifiedAt: testNow,
    ...overrides,
  };
}

export function aDevice(overrides: Partial<Device> = {}): Device {
  const id = uniqueId("dev");
  return {
    id,
    approver: "apr_1",
    name: "phone",
    publicKey: "a2V5",
    counter: 0,
    transports: [],
    createdAt: testNow,
    ...overrides,
  };
}

export function aSession(overrides: Partial<Session> = {}): Session {
  const id = uniqueId("ses");
  return {
    id,
    approver: "apr_1",
    method: "passkey",
    amr: ["pop", "user", "mfa"],
    acr: "urn:countersign:acr:passkey",
    device: "dev_1",
    authenticatedAt: testNow,
    expiresAt: testNow + 60_000,
    ...overrides,
  };
}

export function aRequest(overrides: Partial<ApprovalRequest> = {}): ApprovalRequest {
  const id = uniqueId("req");
  const expiresAt = overrides.expiresAt ?? testNow + 300_000;
  const digest = "9v1HnO0wZ4Yp6tq8xk3mGdQ2cF5bJ7aL0sR1uT4eW8o";
  return {
    id,
    agent: "agent_1",
    parts: [
      {
        type: "refund",
        typeHash: "t-hash",
        bound: { order: "A-1009", amount: "10000.00", currency: "EUR" },
        denyKey: "denial_1",
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
    dedupeKey: "dedupe_1",
    delivery: "poll",
    createdAt: testNow,
    decideBy: expiresAt,
    expiresAt,
    status: { state: "pending" },
    ...overrides,
  };
}

export function aDecision(overrides: Partial<Decision> = {}): Decision {
  return {
    approver: "apr_1",
    at: testNow,
    level: "passkey",
    authenticatedAt: testNow,
    amr: ["hwk", "user"],
    ...overrides,
  };
}

export function aToken(overrides: Partial<Token> = {}): Token {
  return {
    hash: uniqueId("hash"),
    jti: uniqueId("tok"),
    requestId: "req_1",
    agent: "agent_1",
    subject: "apr_1",
    approvedBy: ["apr_1"],
    parts: [{ type: "refund", typeHash: "t-hash", bound: { order: "A-1009" } }],
    audience: "https://refunds.example.com",
    scope: "openid",
    digest: "digest",
    issuedAt: testNow,
    expiresAt: testNow + 60_000,
    state: "issued",
    ...overrides,
  };
}

export function aDenial(overrides: Partial<Denial> = {}): Denial {
  const id = uniqueId("denial");
  return {
    id,
    agent: "agent_1",
    type: "refund",
    fields: { order: "A-1009" },
    requestId: "req_1",
    deniedAt: testNow,
    ...overrides,
  };
}

export function aDedupeKey(overrides: Partial<DedupeKey> = {}): DedupeKey {
  return {
    id: uniqueId("dedupe"),
    requestId: "req_1",
    contentHash: "content",
    keptUntil: testNow + 60_000,
    ...overrides,
  };
}

export function aReplay(overrides: Partial<Replay> = {}): Replay {
  return { id: uniqueId("jti"), expiresAt: testNow + 60_000, ...overrides };
}

export function aMessage(overrides: Partial<Message> = {}): Message {
  return {
    id: uniqueId("msg"),
    kind: "requested",
    channel: "mail",
    requestId: "req_1",
    approver: "apr_1",
    attempts: 0,
    state: "queued",
    dueAt: testNow,
    ...overrides,
  };
}

export function aCallback(overrides: Partial<Callback> = {}): Callback {
  return {
    id: uniqueId("req"),
    agent: "agent_1",
    mode: "ping",
    sealedToken: "c2VhbGVk",
    state: "queued",
    attempts: 0,
    dueAt: testNow,
    ...overrides,
  };
}

/** Returns a change with writes of several kinds, entries and texts, whose ids derive from `name`. */
export function aWholeChange(name: string, guard?: Write): Change {
  const request = aRequest({ id: `req_${name}`, candidates: [`apr_${name}`] });
  return {
    writes: [
      { put: "request", record: request, ifVersion: absent },
      { put: "denial", record: aDenial({ id: `denial_${name}` }), ifVersion: absent },
      { put: "message", record: aMessage({ id: `msg_${name}` }), ifVersion: absent },
      ...(guard ? [guard] : []),
    ],
    entries: [
      anEntry({ id: `log_${name}_1`, request: request.id }, { reason: "too much", note: "ask again" }),
      anEntry({ id: `log_${name}_2`, request: request.id }),
    ],
  };
}

/** Returns how much of `aWholeChange(name)` is stored: all, nothing, or the names of the parts. */
export async function partsOf(store: Store, name: string): Promise<"all" | "nothing" | readonly string[]> {
  const inbox = await store.listPendingFor(`apr_${name}`);
  const entries = await store.log.newest(9, `req_${name}`);
  const parts = {
    request: await store.read("request", `req_${name}`),
    inbox: inbox.find(({ id }) => id === `req_${name}`),
    denial: await store.read("denial", `denial_${name}`),
    message: await store.read("message", `msg_${name}`),
    first: await store.log.hasEntry(`log_${name}_1`),
    second: await store.log.hasEntry(`log_${name}_2`),
    both: entries.length === 2,
    reason: entries.some(({ texts }) => texts.reason?.text === "too much"),
    note: entries.some(({ texts }) => texts.note?.text === "ask again"),
  };
  const stored = Object.entries(parts).flatMap(([part, value]) => (value ? [part] : []));
  if (stored.length === 0) return "nothing";
  return stored.length === Object.keys(parts).length ? "all" : stored;
}
