/**
 * A log for tests, written into a real store entry by entry, so that it can tell stories that the operations would never
 * let happen. The clock moves one second with each entry.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import {
  type Actor,
  decisionChallenge,
  entryLine,
  hashJson,
  type Json,
  leafHash,
  rootOf,
  type SignedDecision,
  signCheckpoint,
  verifierKey,
} from "@countersign/protocol";
import { exportLog, type LogSource } from "../../../server/src/audit/audit.ts";
import { type ActorOf, type AnyEntryDetails, findEvent } from "../../../server/src/audit/event.ts";
import type { NewEntry } from "../../../server/src/audit/new-entry.ts";
import { newEntry } from "../../../server/src/audit/new-entry.ts";
import { verifyPasskeyAttestation } from "../../../server/src/crypto/passkey.ts";
import type { Card } from "../../../server/src/domain/action/card.ts";
import { openSqlite } from "../../../server/src/store/sqlite/sqlite.ts";
import type { Store } from "../../../server/src/store/store.ts";
import { writeCheckpoint } from "../../../server/src/usecase/audit/checkpoint.ts";
import {
  type CeremonyFault,
  createVirtualAuthenticator,
  type VirtualAuthenticator,
} from "../browser/virtual-authenticator.ts";

const origin = "as.example/log";
const site = { rpId: "as.example", origin: "https://as.example", rpName: "Countersign" };
export const noon = Date.UTC(2026, 10, 22, 12);
export const lifetimeMs = 120_000;
const audience = "https://refunds.example";

export type PasskeySigner = { readonly id: string; readonly passkey: VirtualAuthenticator };
/** A request as it was asked, with what a decision on it has to name. */
export type AskedRequest = {
  readonly id: string;
  readonly digest: string;
  readonly cardHash: string;
  readonly expiresAt: number;
};
export type IssuedToken = {
  readonly asked: AskedRequest;
  readonly token: string;
  readonly expiresAt: number;
};
/** Members of a test entry. Default for `actor`: one that may cause the event, named as the members name it. */
export type TestDetails = Omit<AnyEntryDetails, "actor"> & { readonly actor?: Actor };
/** What differs from an entry as it ought to be. */
export type Changed = {
  readonly about?: Partial<TestDetails>;
  readonly facts?: { readonly [name: string]: Json };
};

export type TestLog = {
  readonly store: Store;
  /** The log's verifier key, and the key that signs. */
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Milliseconds since the epoch: when the next entry is written. */
  readonly clock: { now: number };
  /** Every entry so far, as it went in. */
  readonly entries: readonly NewEntry[];
  readonly add: (entry: NewEntry) => Promise<void>;
  readonly write: (event: string, about: TestDetails) => Promise<NewEntry>;
  /** Signs what the log is now and answers the note. */
  readonly checkpoint: () => Promise<string>;
  readonly lines: () => Promise<string[]>;
  readonly close: () => Promise<void>;

  readonly enrol: (approver: string) => Promise<PasskeySigner>;
  readonly ask: (changed?: Changed) => Promise<AskedRequest>;
  readonly decide: (
    asked: AskedRequest,
    approver: string,
    verdict?: "approved" | "denied",
    changed?: Changed,
  ) => Promise<void>;
  /** Approves by signature; `signed` is what the signature is over where that is not what the entry says. */
  readonly sign: (
    asked: AskedRequest,
    signer: PasskeySigner,
    wrong?: {
      readonly signed?: Partial<SignedDecision>;
      readonly assertion?: CeremonyFault;
      readonly level?: string;
    },
  ) => Promise<void>;
  readonly end: (asked: AskedRequest, event: "expired" | "lapsed" | "cancelled") => Promise<void>;
  readonly issue: (asked: AskedRequest, approver: string, changed?: Changed) => Promise<IssuedToken>;
  readonly spend: (
    issued: IssuedToken,
    event: "reserved" | "completed" | "failed" | "unknown" | "expired",
    changed?: Changed,
  ) => Promise<void>;
};

export function createTestLog(
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject } = generateLogKeys(),
): TestLog {
  const clock = { now: noon };
  const store = openSqlite({ path: ":memory:", clock: () => clock.now });
  const entries: NewEntry[] = [];
  let serial = 0;

  async function add(entry: NewEntry): Promise<void> {
    await store.commit({ writes: [], entries: [entry] });
    entries.push(entry);
    clock.now += 1_000;
  }
  async function write(event: string, about: TestDetails): Promise<NewEntry> {
    const entry = newEntry(event as "key.created", clock.now, {
      ...about,
      actor: (about.actor ?? createActor(event, about)) as ActorOf<"key.created">,
    });
    await add(entry);
    return entry;
  }
  const about = ({ id: request, digest }: AskedRequest): TestDetails => ({
    request,
    agent: "agent-1",
    digest,
  });
  const fresh = (word: string) => {
    serial += 1;
    return `${word}_${serial}`;
  };

  const log: TestLog = {
    store,
    key: verifierKey(origin, keys.publicKey),
    ...keys,
    clock,
    entries,
    add,
    write,
    checkpoint: async () => {
      const note = await writeCheckpoint({
        store,
        signCheckpoint: ({ size, root }) => signCheckpoint({ origin, size, root }, keys.privateKey),
        publish: async () => {},
      });
      if (note === undefined) throw new Error("nothing was added since the last checkpoint");
      return note;
    },
    lines: () => collectLines(exportLog(store.log, log.key)),
    close: () => store.close(),

    enrol: async (approver) => {
      const passkey = createVirtualAuthenticator(site);
      const challenge = randomBytes(32).toString("base64url");
      const device = await verifyPasskeyAttestation(
        site,
        passkey.createAttestation({ challenge }),
        challenge,
      );
      const facts = {
        credential: passkey.id,
        public_key: device!.publicKey,
        rp_id: site.rpId,
        origin: site.origin,
      };
      await write("device.enrolled", { approver, facts, texts: { name: `${approver}'s phone` } });
      return { id: approver, passkey };
    },

    ask: async (changed = {}) => {
      const request = fresh("req");
      const digest = hashJson({ request });
      const expiresAt = clock.now + lifetimeMs;
      const card: Card = {
        v: 1,
        salt: randomBytes(16).toString("base64url"),
        type: "refund",
        agent: { id: "agent-1", name: "Refund agent" },
        sentence: [{ text: "Refund " }, { value: "$10,000.00", field: "amount" }],
        rows: [{ label: "Order", value: "A\u2028\u00e91", field: "order" }],
        words: { message: "Charged twice \u{1f4a1}", rows: [] },
        reversibility: "irreversible",
        level: "session",
        audience,
        digest,
        expiresAt,
      };
      const cardHash = hashJson(card);
      const facts = {
        type: "refund",
        type_hash: hashJson("refund"),
        audience,
        card_hash: cardHash,
        level: "session",
        candidates: ["apr_ada", "apr_bob"],
        expires_at: expiresAt,
        ...changed.facts,
      };
      const texts = { card: JSON.stringify(card), sentence: "Refund $10,000.00" };
      await write("request.created", { request, agent: "agent-1", digest, facts, texts, ...changed.about });
      return { id: request, digest, cardHash, expiresAt };
    },

    decide: async (asked, approver, verdict = "approved", changed = {}) => {
      const facts = {
        card_hash: asked.cardHash,
        ...(verdict === "approved" && { level: "session" }),
        ...changed.facts,
      };
      const texts = { reason: verdict === "denied" ? "too much" : undefined };
      await write(`request.${verdict}`, { ...about(asked), approver, facts, texts, ...changed.about });
    },

    sign: async (asked, { id: approver, passkey }, wrong = {}) => {
      const nonce = randomBytes(16).toString("base64url");
      const { id: request, digest, cardHash: card } = asked;
      const decision: SignedDecision = {
        request,
        digest,
        card,
        verdict: "approve",
        approver,
        nonce,
        ...wrong.signed,
      };
      const { id, response } = passkey.createAssertion(
        { challenge: decisionChallenge(decision) },
        wrong.assertion,
      );
      const evidence = {
        credential: id,
        nonce,
        client_data: response.clientDataJSON,
        authenticator_data: response.authenticatorData,
        signature: response.signature,
      };
      const facts = { card_hash: card, level: wrong.level ?? "passkey-signed", evidence };
      await write("request.approved", { ...about(asked), approver, facts });
    },

    end: async (asked, event) => {
      if (event !== "cancelled") clock.now = Math.max(clock.now, asked.expiresAt);
      await write(`request.${event}`, about(asked));
    },

    issue: async (asked, approver, changed = {}) => {
      const token = changed.about?.token ?? fresh("tok");
      const expiresAt = clock.now + 60_000;
      const facts = { audience, expires_at: expiresAt, ...changed.facts };
      await write("token.issued", { ...about(asked), approver, token, facts, ...changed.about });
      return { asked, token, expiresAt };
    },

    spend: async ({ asked, token, expiresAt }, event, changed = {}) => {
      if (event === "expired") clock.now = Math.max(clock.now, expiresAt);
      const api = event === "unknown" || event === "expired" ? {} : { api: "refunds-api" };
      await write(`token.${event}`, { ...about(asked), token, ...api, ...changed.about });
    },
  };
  return log;
}

/** Returns an actor that may cause the event: the first client or person that the entry names, or else a nameless one. */
function createActor(event: string, about: TestDetails): Actor {
  const types = findEvent(event)?.actors ?? ["system"];
  for (const type of types)
    if (type === "approver" || type === "agent" || type === "api") {
      const id = about[type];
      if (id !== undefined) return { type, id, via: type === "approver" ? "page" : "oauth" };
    } else return { type, via: type === "system" ? "job" : "cli" };
  return { type: types[0]!, via: "page" };
}

/**
 * The export of a log with just these entries, everything about it right: written by somebody who holds the log's key
 * and minds no rule, not even those of a store. Checkpoints are signed at `sizes`, and at the end.
 */
export async function tamper(
  { key, privateKey }: Pick<TestLog, "key" | "privateKey">,
  entries: readonly NewEntry[],
  sizes: readonly number[] = [],
): Promise<string[]> {
  const sequenced = entries.map(({ entry, texts }, index) => ({ index, line: entryLine(entry), texts }));
  const root = (size: number) => rootOf(sequenced.slice(0, size).map(({ line }) => leafHash(line)));
  const note = (size: number) => signCheckpoint({ origin, size, root: root(size) }, privateKey);
  const source: LogSource = {
    entries: (from, limit) => sequenced.slice(from, from + limit),
    checkpoints: () => [...sizes, entries.length].map((size) => ({ size, note: note(size) })),
  };
  return collectLines(exportLog(source, key));
}

export async function collectLines(lines: AsyncIterable<string>): Promise<string[]> {
  const collected: string[] = [];
  for await (const line of lines) collected.push(line);
  return collected;
}

/** Returns an entry as version 1 had it: without an actor, and with the former name of its event. */
export function toVersion1({ entry: { actor: _actor, v: _v, event, ...rest }, texts }: NewEntry): NewEntry {
  return { entry: { ...rest, v: 1, event: findEvent(event)?.formerly ?? event }, texts };
}

export function generateLogKeys(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ed25519");
}

/** One of each thing that can happen, and two checkpoints on the way. Answers the person who signs. */
export async function writeHistory(
  log: TestLog,
): Promise<{ readonly ada: PasskeySigner; readonly signed: AskedRequest }> {
  await log.write("agent.added", { agent: "agent-1", facts: { name: "Refund agent", types: ["refund"] } });
  await log.write("approver.invited", {
    approver: "apr_ada",
    texts: { email: "ada@example.com", name: "Ada" },
  });
  const ada = await log.enrol("apr_ada");
  const signed = await log.ask({ facts: { level: "passkey-signed" } });
  await log.write("message.sent", {
    request: signed.id,
    approver: "apr_ada",
    facts: { channel: "mail", attempts: 1 },
  });
  await log.sign(signed, ada);
  const token = await log.issue(signed, "apr_ada");
  const refused = {
    request: signed.id,
    agent: "agent-1",
    token: token.token,
    api: "refunds-api",
    digest: signed.digest,
  };
  await log.write("spend.refused", { ...refused, facts: { error: "digest_mismatch" } });
  await log.spend(token, "reserved");
  await log.spend(token, "completed");
  await log.checkpoint();

  const denied = await log.ask();
  await log.decide(denied, "apr_bob", "denied");
  await log.write("denial.released", { request: denied.id, agent: "agent-1", facts: { type: "refund" } });
  await log.write("request.refused", {
    agent: "agent-1",
    facts: { error: "access_denied" },
    texts: { why: "latched" },
  });
  await log.end(await log.ask(), "expired");
  const lapsed = await log.ask();
  await log.decide(lapsed, "apr_ada");
  await log.end(lapsed, "lapsed");
  await log.end(await log.ask(), "cancelled");
  const withdrawn = await log.ask();
  await log.decide(withdrawn, "apr_ada");
  await log.end(withdrawn, "cancelled");
  await log.checkpoint();

  const unspent = await log.ask();
  await log.decide(unspent, "apr_bob");
  await log.spend(await log.issue(unspent, "apr_bob"), "expired");
  const silent = await log.ask();
  await log.decide(silent, "apr_bob");
  const late = await log.issue(silent, "apr_bob");
  await log.spend(late, "reserved");
  await log.spend(late, "unknown");
  await log.spend(late, "failed");
  await log.write("device.removed", { approver: "apr_ada", facts: { credential: ada.passkey.id } });
  await log.checkpoint();
  return { ada, signed };
}
