/**
 * An agent asks. Everything that can be refused is refused before any person is disturbed: by the first gate, the latch,
 * the limits. What remains becomes durable, with its messages and its log entry, before the agent hears of it. An action
 * that is still waiting for an answer is asked once, whatever words it comes with.
 */
import { randomBytes } from "node:crypto";
import { hashJson, type JsonObject } from "@countersign/protocol";
import { cardHash, readMessage, renderCard, sentenceText } from "../action/card.ts";
import type { ActionRule } from "../action/definition.ts";
import type { ReadPart } from "../action/read.ts";
import { type Approval, type AskedPart, decideBy } from "../approval/approval.ts";
import { latchKey, subjectOf } from "../approval/latch.ts";
import { stricter } from "../approver/level.ts";
import type { Config } from "../config/config.ts";
import type { PassingKind, Replay } from "../store/record.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";
import { isLatched, noLatch } from "./authority.ts";
import { opened, readCallback, readdressed } from "./callback.ts";
import { newEntry } from "./entry.ts";
import { type Gate, type GateRefusal, type Passed, passGate, type Wish } from "./gate.ts";
import { newId } from "./id.ts";
import { type Acknowledged, contentOf, join, readIdempotencyKey, readWaiting } from "./join.ts";
import { type Permission, type PermissionRefusal, permitted } from "./permission.ts";
import type { Seal } from "./secret.ts";
import { traceparent } from "./trace.ts";
import { checkUserCode, type UserCodeRefusal } from "./user-code.ts";

export type AskInput = Wish & {
  readonly message?: string;
  readonly requestedExpirySeconds?: number;
  readonly idempotencyKey?: string;
  /** What the agent was told by the person whom it wants asked. */
  readonly userCode?: string | undefined;
  /** What makes a signed ask good for one request; kept with it. */
  readonly once?: Replay | undefined;
  /** Of an agent that is pinged or pushed to: by which it will know that it is us. */
  readonly notificationToken?: string;
};

export type AskRefusal =
  | GateRefusal
  | PermissionRefusal
  | UserCodeRefusal
  | "invalid_binding_message"
  | "invalid_request"
  | "unauthorized_client";
/** `gate` says which part of the first gate it was, if any; `limit` is the key of the limit that was met, if it was one. */
type Refused = {
  readonly refused: AskRefusal;
  readonly why: string;
  readonly gate?: Gate;
  readonly limit?: string;
};

export type AskGround = {
  readonly store: Store;
  readonly config: Config;
  /** Keeps notification tokens. */
  readonly callbackSeal: Seal;
  /** A check outside this server, where there is one. */
  readonly permission?: Permission | undefined;
};

const hourMs = 3_600_000;
const attempts = 8;

/**
 * `authenticated`: who the agent is, as it proved when the request came in. If something of what was read is not so any more
 * when it is written, all of it is read again, and so a pause meanwhile is seen.
 */
export async function ask(
  ground: AskGround,
  authenticated: Held<"agent">,
  input: AskInput,
): Promise<Acknowledged | Refused> {
  const { id } = authenticated.record;
  // The commit holds to latches and limits. Looking at them before is for a try that tells somebody else, and for one that
  // says what stood in its way.
  let forewarned = ground.permission !== undefined || ground.config.userCodes || input.userCode !== undefined;
  let agent: Held<"agent"> | undefined = authenticated;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (!agent) return { refused: "access_denied", why: "this agent was removed" };
    const passed = await passGate(ground, agent.record, input);
    const answer = "refused" in passed ? passed : await askPeople(ground, agent, input, passed, forewarned);
    if (answer !== "conflict") return "refused" in answer ? await refuse(ground, id, passed, answer) : answer;
    forewarned = true;
    agent = await ground.store.read("agent", id);
  }
  throw new Error("an ask met a conflict each time it was tried");
}

async function askPeople(
  ground: AskGround,
  agent: Held<"agent">,
  input: AskInput,
  passed: Passed,
  forewarned: boolean,
): Promise<Acknowledged | Refused | "conflict"> {
  const { store, config } = ground;
  const now = store.now();
  const { callbackSeal } = ground;
  const rules = passed.parts.map(({ rule }) => rule);
  const callback = await readCallback(callbackSeal, agent.record, rules, input.notificationToken);
  if (callback && "refused" in callback) return callback;

  const content = contentOf(input, passed);
  const keyed = await readIdempotencyKey(store, agent.record.id, input.idempotencyKey, content);
  if ("refused" in keyed) return keyed;
  if (keyed.request) {
    if (!(await isStill(store, agent))) return "conflict";
    return await join(store, keyed.request, await readdressed(store, callback, keyed.request, now));
  }

  const { once } = input;
  if (once && (await store.read("replay", once.id)))
    return { refused: "invalid_request", why: "this request was sent before; each ask is signed anew" };
  const usedUp: Write<"replay">[] = once ? [{ put: "replay", record: once, expect: absent }] : [];

  const parts = passed.parts.map((part) => askedPart(agent.record.id, part));
  const drafted = draft(agent, input, passed, parts, now);
  if ("refused" in drafted) return drafted;
  const same = await readWaiting(store, drafted, content, now);
  if ((forewarned || same.request) && (await isLatched(store, parts)))
    return { refused: "access_denied", why: "a person has denied this action; only a person can re-open it" };
  const over = forewarned && !same.request ? await overLimit(ground, agent.record.id, now) : undefined;
  if (over) return over;
  // Only for what would disturb somebody: what waits already has been checked, and will be when it is approved.
  const { permission } = ground;
  const people =
    permission && !same.request
      ? await permitted(
          permission,
          { agent: agent.record.id, audience: passed.audience, parts },
          passed.people,
        )
      : passed.people;
  if ("refused" in people) return people;
  // Last, so that whether a code was right is heard only together with the commit that guards it.
  const code =
    config.userCodes || input.userCode !== undefined
      ? await checkUserCode(ground, agent.record, people, input.userCode)
      : { writes: [] };
  if ("refused" in code) return code;
  const approval = { ...drafted, candidates: people.map(({ id }) => id) };
  const request = same.request ?? approval;
  const alongside: Write<PassingKind>[] = [...usedUp, ...code.writes, ...keyed.keep(request)];
  if (same.request) {
    if (!(await isStill(store, agent))) return "conflict";
    return await join(store, request, [...alongside, ...(await readdressed(store, callback, request, now))]);
  }

  const { waitingPerAgent, asksPerHour } = config.limits;
  const outcome = await store.commit({
    writes: [
      { check: "agent", id: agent.record.id, expect: agent.version },
      ...noLatch(parts),
      { put: "approval", record: approval, expect: absent },
      ...same.keep(approval),
      ...messages(config, approval, now),
      ...alongside,
      ...opened(callback, approval),
    ],
    entries: [created(approval, now)],
    fewerWaiting: { agent: agent.record.id, than: waitingPerAgent },
    fewerAsked: { agent: agent.record.id, since: now - hourMs, than: asksPerHour },
  });
  if (outcome === "conflict") return "conflict";
  return { approval: approval.id, expiresAt: approval.expiresAt, joined: false };
}

/** Whether nothing about an agent has changed. What is asked anew, the commit itself holds to it. */
async function isStill(store: Store, { record, version }: Held<"agent">): Promise<boolean> {
  return (await store.read("agent", record.id))?.version === version;
}

/** The limit that stands in the way of one more request. The commit holds to the same ones. */
async function overLimit(
  { store, config }: AskGround,
  agentId: string,
  now: number,
): Promise<Refused | undefined> {
  const { waitingPerAgent, asksPerHour } = config.limits;
  if ((await store.waitingOf(agentId, now)) >= waitingPerAgent)
    return {
      refused: "access_denied",
      why: "this agent has too many requests waiting; wait for those first",
      limit: "waiting_per_agent",
    };
  if ((await store.askedSince(agentId, now - hourMs)) >= asksPerHour)
    return {
      refused: "access_denied",
      why: `this agent has asked ${asksPerHour} times within an hour`,
      limit: "asks_per_hour",
    };
  return undefined;
}

function askedPart(agent: string, { rule, bound }: ReadPart): AskedPart {
  const { definition, hash: typeHash } = rule;
  const { type } = definition;
  return { type, typeHash, bound, latchKey: latchKey(agent, type, subjectOf(definition, bound)) };
}

/** The request as it would be kept, its card written, or why it cannot be shown. */
function draft(
  { record: agent }: Held<"agent">,
  input: AskInput,
  { parts: read, audience, people }: Passed,
  parts: readonly AskedPart[],
  createdAt: number,
): Approval | Refused {
  const rules = read.map(({ rule }) => rule);
  const least = (seconds: (rule: ActionRule) => number) => Math.min(...rules.map(seconds));
  const wanted = input.requestedExpirySeconds ?? least(({ lifetimeSeconds }) => lifetimeSeconds.default);
  const seconds = Math.min(
    wanted,
    least(({ lifetimeSeconds }) => lifetimeSeconds.max),
  );
  const expiresAt = createdAt + seconds * 1000;
  const level = rules.map(({ definition }) => definition.level).reduce(stricter, input.level ?? "session");
  const words = readMessage(input.message);
  if ("refused" in words) return words;
  const salt = randomBytes(16).toString("base64url");
  const card = renderCard({ parts: read, agent, message: words.message, level, expiresAt, salt });
  if ("refused" in card) return { refused: card.refused, why: `${card.path} ${card.why}` };
  const trace = traceparent();
  return {
    id: newId("req", createdAt),
    agent: agent.id,
    parts,
    audience,
    digest: card.digest,
    card,
    cardHash: cardHash(card),
    scope: ["openid", ...rules.flatMap(({ scope }) => scope ?? [])].join(" "),
    candidates: people.map(({ id }) => id),
    level,
    tokenLifetimeSeconds: least((rule) => rule.tokenLifetimeSeconds),
    askKey: `same:${hashJson({ agent: agent.id, digest: card.digest, level })}`,
    delivery: agent.delivery.mode,
    ...(trace !== undefined && { traceparent: trace }),
    createdAt,
    decideBy: decideBy(createdAt, expiresAt),
    expiresAt,
    standing: { state: "pending" },
  };
}

/** One message for each candidate on each channel that is set up. Content is rendered from the card when it is sent. */
function messages(config: Config, approval: Approval, now: number): Write[] {
  return Object.keys(config.channels).flatMap((channel) =>
    approval.candidates.map((approver) => ({
      put: "message" as const,
      record: {
        id: newId("msg", now),
        channel,
        approval: approval.id,
        approver,
        attempts: 0,
        state: "waiting" as const,
        dueAt: now,
      },
      expect: absent,
    })),
  );
}

function created({ id, agent, parts, audience, digest, card, ...rest }: Approval, now: number) {
  const facts: JsonObject = {
    ...typeFacts(parts.map(({ type }) => type)),
    ...(parts.length === 1
      ? { type_hash: parts[0]!.typeHash }
      : { type_hashes: parts.map(({ typeHash }) => typeHash) }),
    audience,
    card_hash: rest.cardHash,
    level: rest.level,
    candidates: [...rest.candidates],
    expires_at: rest.expiresAt,
  };
  const texts = { card: JSON.stringify(card), sentence: sentenceText(card) };
  return newEntry("request.created", now, { request: id, agent, digest, facts, texts });
}

/** How the log names what was asked for: `type`, or `types` where an action has several parts. */
function typeFacts(types: readonly string[]): JsonObject {
  return types.length === 1 ? { type: types[0]! } : { types: [...types] };
}

/** A refusal is evidence too: who asked for what type of action, and what it was told. */
async function refuse(
  { store }: AskGround,
  agent: string,
  passed: Passed | Refused,
  refusal: Refused,
): Promise<Refused> {
  const facts: JsonObject = {
    error: refusal.refused,
    ...(refusal.gate && { gate: refusal.gate }),
    ...(refusal.limit && { limit: refusal.limit }),
    ...("parts" in passed && typeFacts(passed.parts.map(({ rule }) => rule.definition.type))),
  };
  const entry = newEntry("request.refused", store.now(), { agent, facts, texts: { why: refusal.why } });
  await store.commit({ writes: [], entries: [entry] });
  return refusal;
}
