/** Builds a new request: card, digest, lifetime, level, notifications and its audit entry. */
import { randomBytes } from "node:crypto";
import { hashJson, type JsonObject } from "@countersign/protocol";
import { toAgentActor } from "../../audit/actor.ts";
import { type NewEntry, newEntry } from "../../audit/new-entry.ts";
import type { Settings } from "../../config/sections.ts";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import { formatCardSummary, hashCard, parseBindingMessage, renderCard } from "../../domain/action/card.ts";
import type { ParsedPart } from "../../domain/action/parse-details.ts";
import type { Agent } from "../../domain/client/client.ts";
import { newId } from "../../domain/id.ts";
import { maxLevel } from "../../domain/policy/level.ts";
import { computeDenyKey, selectDenyFields } from "../../domain/request/deny-key.ts";
import { type ApprovalRequest, computeDecideBy, type RequestPart } from "../../domain/request/request.ts";
import { absent, type Write } from "../../store/store.ts";
import { getTraceparent } from "../../tracing/tracing.ts";
import type { AskParameters, ResolvedAsk } from "./resolve-ask.ts";

export type DraftInput = Pick<AskParameters, "level"> & {
  readonly message?: string;
  readonly requestedExpirySeconds?: number;
};
export type DraftRefused = {
  readonly refused: "invalid_binding_message" | "invalid_authorization_details";
  readonly why: string;
};

/** Builds the pending request with its card. Refuses a message or values that cannot be displayed. */
export function draftRequest(
  agent: Agent,
  input: DraftInput,
  { parts: read, audience, candidates }: ResolvedAsk,
  createdAt: number,
): ApprovalRequest | DraftRefused {
  const parts = read.map((part) => toRequestPart(agent.id, part));
  const policies = read.map(({ policy }) => policy);
  const minimum = (seconds: (policy: ActionPolicy) => number) => Math.min(...policies.map(seconds));
  const requestedSeconds =
    input.requestedExpirySeconds ?? minimum(({ lifetimeSeconds }) => lifetimeSeconds.default);
  const seconds = Math.min(
    requestedSeconds,
    minimum(({ lifetimeSeconds }) => lifetimeSeconds.max),
  );
  const expiresAt = createdAt + seconds * 1000;
  const level = policies.map(({ definition }) => definition.level).reduce(maxLevel, input.level ?? "session");
  const binding = parseBindingMessage(input.message);
  if ("refused" in binding) return binding;
  const salt = randomBytes(16).toString("base64url");
  const card = renderCard({ parts: read, agent, message: binding.message, level, expiresAt, salt });
  if ("refused" in card) return { refused: card.refused, why: `${card.path} ${card.why}` };
  const trace = getTraceparent();
  return {
    id: newId("req", createdAt),
    agent: agent.id,
    parts,
    audience,
    digest: card.digest,
    card,
    cardHash: hashCard(card),
    scope: ["openid", ...policies.flatMap(({ scope }) => scope ?? [])].join(" "),
    candidates: candidates.map(({ id }) => id),
    level,
    tokenLifetimeSeconds: minimum((policy) => policy.tokenLifetimeSeconds),
    dedupeKey: `same:${hashJson({ agent: agent.id, digest: card.digest, level })}`,
    delivery: agent.delivery.mode,
    ...(trace !== undefined && { traceparent: trace }),
    createdAt,
    decideBy: computeDecideBy(createdAt, expiresAt),
    expiresAt,
    status: { state: "pending" },
  };
}

function toRequestPart(agent: string, { policy, bound }: ParsedPart): RequestPart {
  const { definition, hash: typeHash } = policy;
  const { type } = definition;
  return { type, typeHash, bound, denyKey: computeDenyKey(agent, type, selectDenyFields(definition, bound)) };
}

/** Returns one outbox message per candidate and configured channel. Content is rendered from the card when sent. */
export function createMessages(
  { channels }: Pick<Settings, "channels">,
  request: ApprovalRequest,
  now: number,
): Write[] {
  return Object.keys(channels).flatMap((channel) =>
    request.candidates.map((approver) => ({
      put: "message" as const,
      record: {
        id: newId("msg", now),
        kind: "requested" as const,
        channel,
        requestId: request.id,
        approver,
        attempts: 0,
        state: "queued" as const,
        dueAt: now,
      },
      ifVersion: absent,
    })),
  );
}

export function newCreatedEntry(
  { id, agent, parts, audience, digest, card, ...rest }: ApprovalRequest,
  now: number,
): NewEntry {
  const facts = {
    ...toTypeFacts(parts.map(({ type }) => type)),
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
  return newEntry("request.created", now, {
    actor: toAgentActor(agent),
    request: id,
    agent,
    digest,
    facts,
    texts,
  });
}

/** Returns the `type` fact, or `types` if the action has several parts. */
export function toTypeFacts(types: readonly string[]): JsonObject {
  return types.length === 1 ? { type: types[0]! } : { types: [...types] };
}
