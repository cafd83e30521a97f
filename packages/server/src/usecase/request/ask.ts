/**
 * An agent asks. Everything that can be refused is refused before any person is disturbed: by the first gate, the latch,
 * the limits. What remains becomes durable, with its messages and its log entry, before the agent hears of it. An action
 * that is still waiting for an answer is asked once, whatever words it comes with.
 */
import { randomBytes } from "node:crypto";
import { hashJson, type JsonObject } from "@countersign/protocol";
import { newEntry } from "../../audit/new-entry.ts";
import type { Config } from "../../config/config.ts";
import type { Seal } from "../../crypto/secret.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import { formatCardSummary, hashCard, parseBindingMessage, renderCard } from "../../domain/action/card.ts";
import type { ParsedPart } from "../../domain/action/parse-details.ts";
import { newId } from "../../domain/id.ts";
import { strongerLevel } from "../../domain/policy/level.ts";
import { computeDenyKey, selectDenyFields } from "../../domain/request/deny-key.ts";
import { type ApprovalRequest, computeDecideBy, type RequestPart } from "../../domain/request/request.ts";
import type { Replay, UnloggedKind } from "../../store/record.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { traceparent } from "../../tracing/tracing.ts";
import { guardDenials, isDenied } from "./authorization.ts";
import { createCallback, readCallback, updateCallbackToken } from "./callback-writes.ts";
import { checkPermission, type PermissionCheck, type PermissionRefusal } from "./check-permission.ts";
import {
  type Acknowledgement,
  findByIdempotencyKey,
  findDuplicate,
  hashContent,
  returnExisting,
} from "./find-existing.ts";
import {
  type AskParameters,
  type Gate,
  type GateRefusal,
  type ResolvedAsk,
  resolveAsk,
} from "./resolve-ask.ts";
import { checkUserCode, type UserCodeRefusal } from "./user-code.ts";

export type AskInput = AskParameters & {
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
type AskRefused = {
  readonly refused: AskRefusal;
  readonly why: string;
  readonly gate?: Gate;
  readonly limit?: string;
};

export type AskDeps = {
  readonly store: Store;
  readonly config: Config;
  /** Keeps notification tokens. */
  readonly callbackSeal: Seal;
  /** A check outside this server, where there is one. */
  readonly permission?: PermissionCheck | undefined;
};

const hourMs = 3_600_000;
const attempts = 8;

/**
 * `authenticated`: who the agent is, as it proved when the request came in. If something of what was read is not so any more
 * when it is written, all of it is read again, and so a pause meanwhile is seen.
 */
export async function ask(
  deps: AskDeps,
  authenticated: Versioned<"agent">,
  input: AskInput,
): Promise<Acknowledgement | AskRefused> {
  const { id } = authenticated.record;
  // The commit holds to latches and limits. Looking at them before is for a try that tells somebody else, and for one that
  // says what stood in its way.
  let precheck = deps.permission !== undefined || deps.config.userCodes || input.userCode !== undefined;
  let agent: Versioned<"agent"> | undefined = authenticated;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (!agent) return { refused: "access_denied", why: "this agent was removed" };
    const passed = await resolveAsk(deps, agent.record, input);
    const answer = "refused" in passed ? passed : await createRequest(deps, agent, input, passed, precheck);
    if (answer !== "conflict") return "refused" in answer ? await refuse(deps, id, passed, answer) : answer;
    precheck = true;
    agent = await deps.store.read("agent", id);
  }
  throw new Error("an ask met a conflict each time it was tried");
}

async function createRequest(
  deps: AskDeps,
  agent: Versioned<"agent">,
  input: AskInput,
  passed: ResolvedAsk,
  precheck: boolean,
): Promise<Acknowledgement | AskRefused | "conflict"> {
  const { store, config } = deps;
  const now = store.now();
  const { callbackSeal } = deps;
  const policies = passed.parts.map(({ policy }) => policy);
  const callback = await readCallback(callbackSeal, agent.record, policies, input.notificationToken);
  if (callback && "refused" in callback) return callback;

  const content = hashContent(input, passed);
  const keyed = await findByIdempotencyKey(store, agent.record.id, input.idempotencyKey, content);
  if ("refused" in keyed) return keyed;
  if (keyed.request) {
    if (!(await isUnchanged(store, agent))) return "conflict";
    return await returnExisting(
      store,
      keyed.request,
      await updateCallbackToken(store, callback, keyed.request, now),
    );
  }

  const { once } = input;
  if (once && (await store.read("replay", once.id)))
    return { refused: "invalid_request", why: "this request was sent before; each ask is signed anew" };
  const replayWrites: Write<"replay">[] = once ? [{ put: "replay", record: once, ifVersion: absent }] : [];

  const parts = passed.parts.map((part) => toRequestPart(agent.record.id, part));
  const drafted = draftRequest(agent, input, passed, parts, now);
  if ("refused" in drafted) return drafted;
  const same = await findDuplicate(store, drafted, content, now);
  if ((precheck || same.request) && (await isDenied(store, parts)))
    return { refused: "access_denied", why: "a person has denied this action; only a person can re-open it" };
  const over = precheck && !same.request ? await checkLimits(deps, agent.record.id, now) : undefined;
  if (over) return over;
  // Only for what would disturb somebody: what waits already has been checked, and will be when it is approved.
  const { permission } = deps;
  const people =
    permission && !same.request
      ? await checkPermission(
          permission,
          { agent: agent.record.id, audience: passed.audience, parts },
          passed.people,
        )
      : passed.people;
  if ("refused" in people) return people;
  // Last, so that whether a code was right is heard only together with the commit that guards it.
  const code =
    config.userCodes || input.userCode !== undefined
      ? await checkUserCode(deps, agent.record, people, input.userCode)
      : { writes: [] };
  if ("refused" in code) return code;
  const request = { ...drafted, candidates: people.map(({ id }) => id) };
  const existing = same.request;
  const sideWrites: Write<UnloggedKind>[] = [
    ...replayWrites,
    ...code.writes,
    ...keyed.keep(existing ?? request),
  ];
  if (existing) {
    if (!(await isUnchanged(store, agent))) return "conflict";
    return await returnExisting(store, existing, [
      ...sideWrites,
      ...(await updateCallbackToken(store, callback, existing, now)),
    ]);
  }

  const { maxPendingPerAgent, maxRequestsPerHour } = config.limits;
  const outcome = await store.commit({
    writes: [
      { check: "agent", id: agent.record.id, ifVersion: agent.version },
      ...guardDenials(parts),
      { put: "request", record: request, ifVersion: absent },
      ...same.keep(request),
      ...createMessages(config, request, now),
      ...sideWrites,
      ...createCallback(callback, request),
    ],
    entries: [createdEntry(request, now)],
    maxPending: { agent: agent.record.id, limit: maxPendingPerAgent },
    maxCreatedSince: { agent: agent.record.id, since: now - hourMs, limit: maxRequestsPerHour },
  });
  if (outcome === "conflict") return "conflict";
  return { requestId: request.id, expiresAt: request.expiresAt, joined: false };
}

/** Whether nothing about an agent has changed. What is asked anew, the commit itself holds to it. */
async function isUnchanged(store: Store, { record, version }: Versioned<"agent">): Promise<boolean> {
  return (await store.read("agent", record.id))?.version === version;
}

/** The limit that stands in the way of one more request. The commit holds to the same ones. */
async function checkLimits(
  { store, config }: AskDeps,
  agentId: string,
  now: number,
): Promise<AskRefused | undefined> {
  const { maxPendingPerAgent, maxRequestsPerHour } = config.limits;
  if ((await store.countPending(agentId, now)) >= maxPendingPerAgent)
    return {
      refused: "access_denied",
      why: "this agent has too many requests waiting; wait for those first",
      limit: "max_pending_per_agent",
    };
  if ((await store.countCreatedSince(agentId, now - hourMs)) >= maxRequestsPerHour)
    return {
      refused: "access_denied",
      why: `this agent has asked ${maxRequestsPerHour} times within an hour`,
      limit: "max_requests_per_hour",
    };
  return undefined;
}

function toRequestPart(agent: string, { policy, bound }: ParsedPart): RequestPart {
  const { definition, hash: typeHash } = policy;
  const { type } = definition;
  return { type, typeHash, bound, denyKey: computeDenyKey(agent, type, selectDenyFields(definition, bound)) };
}

/** The request as it would be kept, its card written, or why it cannot be shown. */
function draftRequest(
  { record: agent }: Versioned<"agent">,
  input: AskInput,
  { parts: read, audience, people }: ResolvedAsk,
  parts: readonly RequestPart[],
  createdAt: number,
): ApprovalRequest | AskRefused {
  const policies = read.map(({ policy }) => policy);
  const least = (seconds: (policy: ActionPolicy) => number) => Math.min(...policies.map(seconds));
  const wanted = input.requestedExpirySeconds ?? least(({ lifetimeSeconds }) => lifetimeSeconds.default);
  const seconds = Math.min(
    wanted,
    least(({ lifetimeSeconds }) => lifetimeSeconds.max),
  );
  const expiresAt = createdAt + seconds * 1000;
  const level = policies
    .map(({ definition }) => definition.level)
    .reduce(strongerLevel, input.level ?? "session");
  const words = parseBindingMessage(input.message);
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
    cardHash: hashCard(card),
    scope: ["openid", ...policies.flatMap(({ scope }) => scope ?? [])].join(" "),
    candidates: people.map(({ id }) => id),
    level,
    tokenLifetimeSeconds: least((policy) => policy.tokenLifetimeSeconds),
    dedupeKey: `same:${hashJson({ agent: agent.id, digest: card.digest, level })}`,
    delivery: agent.delivery.mode,
    ...(trace !== undefined && { traceparent: trace }),
    createdAt,
    decideBy: computeDecideBy(createdAt, expiresAt),
    expiresAt,
    status: { state: "pending" },
  };
}

/** One message for each candidate on each channel that is set up. Content is rendered from the card when it is sent. */
function createMessages(config: Config, request: ApprovalRequest, now: number): Write[] {
  return Object.keys(config.channels).flatMap((channel) =>
    request.candidates.map((approver) => ({
      put: "message" as const,
      record: {
        id: newId("msg", now),
        channel,
        requestId: request.id,
        approver,
        attempts: 0,
        state: "waiting" as const,
        dueAt: now,
      },
      ifVersion: absent,
    })),
  );
}

function createdEntry({ id, agent, parts, audience, digest, card, ...rest }: ApprovalRequest, now: number) {
  const facts = {
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
  const texts = { card: JSON.stringify(card), sentence: formatCardSummary(card) };
  return newEntry("request.created", now, { request: id, agent, digest, facts, texts });
}

/** How the log names what was asked for: `type`, or `types` where an action has several parts. */
function typeFacts(types: readonly string[]): JsonObject {
  return types.length === 1 ? { type: types[0]! } : { types: [...types] };
}

/** A refusal is evidence too: who asked for what type of action, and what it was told. */
async function refuse(
  { store }: AskDeps,
  agent: string,
  passed: ResolvedAsk | AskRefused,
  refusal: AskRefused,
): Promise<AskRefused> {
  const facts = {
    error: refusal.refused,
    ...(refusal.gate && { gate: refusal.gate }),
    ...(refusal.limit && { limit: refusal.limit }),
    ...("parts" in passed && typeFacts(passed.parts.map(({ policy }) => policy.definition.type))),
  };
  const entry = newEntry("request.refused", store.now(), { agent, facts, texts: { why: refusal.why } });
  await store.commit({ writes: [], entries: [entry] });
  return refusal;
}
