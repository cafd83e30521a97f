/**
 * `ask`: an agent requests approval of an action. In order: resolve the parameters and the approvers, find an existing
 * request, authorize, commit. Whatever is refused is refused before an approver is notified; the request, its messages and
 * its audit entry are one write, durable before the agent is answered.
 */
import { toAgentActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { PolicySource, Source } from "../../config/policy.ts";
import type { Policy, Settings } from "../../config/sections.ts";
import type { Seal } from "../../crypto/secret.ts";
import type { Directory } from "../../directory/directory.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import type { ApprovalRequest } from "../../domain/request/request.ts";
import type { UnloggedKind } from "../../store/record/records.ts";
import type { Replay } from "../../store/record/replay.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import { retryOnConflict } from "../retry-on-conflict.ts";
import { guardDenials, isDenied } from "./authorization.ts";
import {
  type CallbackSettings,
  createCallback,
  readCallback,
  updateCallbackToken,
} from "./callback-writes.ts";
import { checkPermission, type PermissionCheck, type PermissionRefusal } from "./check-permission.ts";
import {
  createMessages,
  type DraftInput,
  draftRequest,
  newCreatedEntry,
  toTypeFacts,
} from "./draft-request.ts";
import {
  type Acknowledgement,
  findByIdempotencyKey,
  findDuplicate,
  hashContent,
  putDedupeKey,
  returnExisting,
} from "./find-existing.ts";
import {
  type AskParameters,
  type RefusalStage,
  type ResolvedAsk,
  type ResolveRefusal,
  resolveAsk,
} from "./resolve-ask.ts";
import { checkUserCode, type UserCodeRefusal } from "./user-code.ts";

export type AskInput = AskParameters &
  DraftInput & {
    readonly idempotencyKey?: string;
    /** CIBA `user_code`. */
    readonly userCode?: string | undefined;
    /** The replay record of a signed request object, which is good for one request. */
    readonly replayGuard?: Replay | undefined;
    /** CIBA `client_notification_token`; required for ping and push. */
    readonly notificationToken?: string;
  };

export type AskRefusal =
  | ResolveRefusal
  | PermissionRefusal
  | UserCodeRefusal
  | "invalid_binding_message"
  | "invalid_request"
  | "unauthorized_client";
/** `stage`: the stage that refused, if it was one. `limit`: the configuration key of the limit, if any. */
type AskRefused = {
  readonly refused: AskRefusal;
  readonly why: string;
  readonly stage?: RefusalStage;
  readonly limit?: string;
};

export type AskDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly settings: Pick<Settings, "channels">;
  readonly directory: Directory;
  /** Seals notification tokens. */
  readonly callbackSeal: Seal;
  /** The external permission check, if one is configured. */
  readonly permission?: Source<PermissionCheck | undefined>;
};

const hourMs = 3_600_000;
const maxAttempts = 8;

/**
 * Requests approval for an authenticated agent. If a record that was read changes before the commit, everything is read
 * again, so a concurrent pause is seen. Returns the acknowledgement or a refusal, which is logged.
 */
export async function ask(
  deps: AskDeps,
  authenticated: Versioned<"agent">,
  input: AskInput,
): Promise<Acknowledgement | AskRefused> {
  const { id } = authenticated.record;
  return await retryOnConflict(maxAttempts, async (attempt) => {
    const agent = attempt === 0 ? authenticated : await deps.store.read("agent", id);
    if (!agent) return { refused: "access_denied", why: "this agent was removed" } as const;
    const policy = deps.policy.current();
    const resolved = await resolveAsk({ ...deps, policy }, agent.record, input);
    if ("refused" in resolved) return await logRefusal(deps, id, resolved, resolved);
    const result = await askOnce(deps, policy, agent, input, resolved, attempt > 0);
    return result !== "conflict" && "refused" in result
      ? await logRefusal(deps, id, resolved, result)
      : result;
  });
}

async function askOnce(
  deps: AskDeps,
  policy: Policy,
  agent: Versioned<"agent">,
  input: AskInput,
  resolved: ResolvedAsk,
  isRetry: boolean,
): Promise<Acknowledgement | AskRefused | "conflict"> {
  const { store } = deps;
  const now = store.now();
  const policies = resolved.parts.map(({ policy: actionPolicy }) => actionPolicy);
  const { mode } = agent.record.delivery;
  const callback =
    mode === "poll"
      ? undefined
      : await readCallback(deps.callbackSeal, agent.record, mode, policies, input.notificationToken);
  if (callback && "refused" in callback) return callback;

  // Find an existing request: by Idempotency-Key, then by content.
  const contentHash = hashContent(input, resolved);
  const byKey = await findByIdempotencyKey(store, agent.record.id, input.idempotencyKey, contentHash);
  if (byKey && "refused" in byKey) return byKey;
  if (byKey?.request) return await joinRequest(store, agent, byKey.request, callback, [], now);
  const replay = await guardReplay(store, input.replayGuard);
  if ("refused" in replay) return replay;
  const draft = draftRequest(agent.record, input, resolved, now);
  if ("refused" in draft) return draft;
  const duplicate = await findDuplicate(store, draft, contentHash, now);

  const authorized = await authorizeAsk(deps, policy, agent.record, input, resolved, draft, {
    isDuplicate: duplicate.request !== undefined,
    isRetry,
    now,
  });
  if ("refused" in authorized) return authorized;

  const request = duplicate.request ?? { ...draft, candidates: authorized.candidates.map(({ id }) => id) };
  const extraWrites: Write<UnloggedKind>[] = [
    ...replay.writes,
    ...authorized.writes,
    ...(byKey ? [putDedupeKey(byKey, request)] : []),
  ];
  if (duplicate.request) return await joinRequest(store, agent, request, callback, extraWrites, now);
  return await commitRequest(store, policy, agent, request, [
    putDedupeKey(duplicate, request),
    ...createMessages(deps.settings, request, now),
    ...extraWrites,
    ...(callback ? [createCallback(callback, request)] : []),
  ]);
}

/** A signed request object is good once. */
async function guardReplay(
  store: Store,
  record: Replay | undefined,
): Promise<{ readonly writes: readonly Write<"replay">[] } | AskRefused> {
  if (!record) return { writes: [] };
  if (await store.read("replay", record.id))
    return { refused: "invalid_request", why: "this request object was used before; sign a new one" };
  return { writes: [{ put: "replay", record, ifVersion: absent }] };
}

/**
 * Denials, limits, permission, user code, in this order. The commit enforces denials and limits; they are checked before it
 * only if the checks after them have side effects, or if a retry must report the reason. A duplicate skips limits and
 * permission: its request was checked when it was created and is checked again on approval. The user code comes last:
 * whether it was right may only become visible together with the commit that counts the attempt.
 */
async function authorizeAsk(
  deps: AskDeps,
  policy: Policy,
  agent: Agent,
  { userCode }: AskInput,
  { audience, candidates }: ResolvedAsk,
  { parts }: ApprovalRequest,
  attempt: { readonly isDuplicate: boolean; readonly isRetry: boolean; readonly now: number },
): Promise<
  | { readonly candidates: readonly Approver[]; readonly writes: readonly Write<"user_code_attempts">[] }
  | AskRefused
> {
  const { store } = deps;
  const permission = deps.permission?.current();
  const usesUserCode = policy.userCodes || userCode !== undefined;
  const checksFirst = attempt.isRetry || permission !== undefined || usesUserCode;
  if ((checksFirst || attempt.isDuplicate) && (await isDenied(store, parts)))
    return { refused: "access_denied", why: "a person has denied this action; only a person can release it" };
  const overLimit =
    checksFirst && !attempt.isDuplicate ? await checkLimits(store, policy, agent.id, attempt.now) : undefined;
  if (overLimit) return overLimit;
  const permitted =
    permission && !attempt.isDuplicate
      ? await checkPermission(permission, { agent: agent.id, audience, parts }, candidates)
      : candidates;
  if ("refused" in permitted) return permitted;
  if (!usesUserCode) return { candidates: permitted, writes: [] };
  const code = await checkUserCode({ store, policy }, agent, permitted, userCode);
  return "refused" in code ? code : { candidates: permitted, writes: code.writes };
}

/** Returns the limit that one more request would exceed. The commit enforces the same limits. */
async function checkLimits(
  store: Store,
  { limits }: Policy,
  agentId: string,
  now: number,
): Promise<AskRefused | undefined> {
  const { maxPendingPerAgent, maxRequestsPerHour } = limits;
  if ((await store.countPending(agentId, now)) >= maxPendingPerAgent)
    return {
      refused: "access_denied",
      why: "this agent has too many pending requests; wait for those first",
      limit: "max_pending_per_agent",
    };
  if ((await store.countCreatedSince(agentId, now - hourMs)) >= maxRequestsPerHour)
    return {
      refused: "access_denied",
      why: `this agent has made ${maxRequestsPerHour} requests within an hour`,
      limit: "max_requests_per_hour",
    };
  return undefined;
}

/** Returns an existing request, unless the agent changed since it was authenticated. */
async function joinRequest(
  store: Store,
  agent: Versioned<"agent">,
  request: ApprovalRequest,
  callback: CallbackSettings | undefined,
  extraWrites: readonly Write<UnloggedKind>[],
  now: number,
): Promise<Acknowledgement | "conflict"> {
  if ((await store.read("agent", agent.record.id))?.version !== agent.version) return "conflict";
  const callbackWrites = callback ? await updateCallbackToken(store, callback, request, now) : [];
  return await returnExisting(store, request, [...extraWrites, ...callbackWrites]);
}

async function commitRequest(
  store: Store,
  { limits }: Policy,
  agent: Versioned<"agent">,
  request: ApprovalRequest,
  writes: readonly Write[],
): Promise<Acknowledgement | "conflict"> {
  const { id } = agent.record;
  const { createdAt } = request;
  const { maxPendingPerAgent, maxRequestsPerHour } = limits;
  const outcome = await store.commit({
    writes: [
      { check: "agent", id, ifVersion: agent.version },
      ...guardDenials(request.parts),
      { put: "request", record: request, ifVersion: absent },
      ...writes,
    ],
    entries: [newCreatedEntry(request, createdAt)],
    maxPending: { agent: id, limit: maxPendingPerAgent },
    maxCreatedSince: { agent: id, since: createdAt - hourMs, limit: maxRequestsPerHour },
  });
  if (outcome === "conflict") return "conflict";
  return { requestId: request.id, expiresAt: request.expiresAt, joined: false };
}

/** Logs a refusal: the agent, the action types, and the error that was returned. */
async function logRefusal(
  { store }: AskDeps,
  agent: string,
  resolved: ResolvedAsk | AskRefused,
  refusal: AskRefused,
): Promise<AskRefused> {
  const facts = {
    error: refusal.refused,
    ...(refusal.stage && { stage: refusal.stage }),
    ...(refusal.limit && { limit: refusal.limit }),
    ...("parts" in resolved &&
      toTypeFacts(resolved.parts.map(({ policy: actionPolicy }) => actionPolicy.definition.type))),
  };
  const entry = newEntry("request.refused", store.now(), {
    actor: toAgentActor(agent),
    agent,
    facts,
    texts: { why: refusal.why },
  });
  await store.commit({ writes: [], entries: [entry] });
  return refusal;
}
