/**
 * Finds the request that an ask leads to without a new one: the request of the same Idempotency-Key, also after it ended, or
 * the request for the same action that is pending or approved and not redeemed. No approver is notified.
 */
import { hashJson, type JsonObject } from "@countersign/protocol";
import { type ApprovalRequest, getRequestState } from "../../domain/request/request.ts";
import type { UnloggedKind } from "../../store/record/records.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import type { AskParameters, ResolvedAsk } from "./resolve-ask.ts";

export type Acknowledgement = {
  readonly requestId: string;
  readonly expiresAt: number;
  /** True if an existing request is returned instead of a new one. */
  readonly joined: boolean;
};

/** An idempotency key is kept for this time after its request expired: longer than tasks are retried. */
const retentionMs = 30 * 24 * 3_600_000;

/** A deduplication key as read, and the request that it leads to, if any. */
export type DedupeLookup = {
  readonly id: string;
  readonly contentHash: string;
  readonly key: Versioned<"dedupe_key"> | undefined;
  readonly request: ApprovalRequest | undefined;
};

/** Returns undefined without a key. Refuses a key that was used for another request. */
export async function findByIdempotencyKey(
  store: Store,
  agentId: string,
  idempotencyKey: string | undefined,
  contentHash: string,
): Promise<DedupeLookup | undefined | { readonly refused: "invalid_request"; readonly why: string }> {
  if (!idempotencyKey) return undefined;
  const lookup = await readDedupeKey(
    store,
    `key:${hashJson({ agent: agentId, key: idempotencyKey })}`,
    contentHash,
  );
  if (lookup.key && lookup.key.record.contentHash !== contentHash)
    return { refused: "invalid_request", why: "this Idempotency-Key was used for another request" };
  return lookup;
}

/** Hashes what the agent sent. Enrolments and type definitions may change between two tries and are left out. */
export function hashContent({ hint, level }: AskParameters, { parts }: ResolvedAsk): string {
  return hashJson({
    parts: parts.map(({ policy, bound }) => ({ type: policy.definition.type, bound })),
    hint: toStoredHint(hint),
    level: level ?? "",
  });
}

/** Stored hashes spell the hint for all approvers of the policy as `login_hint` does. */
function toStoredHint(hint: AskParameters["hint"]): JsonObject {
  return hint.by === "policy" ? { by: "owner" } : { ...hint };
}

/** Looks for a request for the same action at the same level that may still become a token. */
export async function findDuplicate(
  store: Store,
  { dedupeKey }: ApprovalRequest,
  contentHash: string,
  now: number,
): Promise<DedupeLookup> {
  const lookup = await readDedupeKey(store, dedupeKey, contentHash);
  const { request } = lookup;
  return request && ["pending", "approved"].includes(getRequestState(request, now))
    ? lookup
    : { ...lookup, request: undefined };
}

async function readDedupeKey(store: Store, id: string, contentHash: string): Promise<DedupeLookup> {
  const key = await store.read("dedupe_key", id);
  const request = key && (await store.read("request", key.record.requestId));
  return { id, contentHash, key, request: request?.record };
}

/** Returns the write that makes the key lead to `request`. */
export function putDedupeKey(
  { id, contentHash, key }: DedupeLookup,
  request: ApprovalRequest,
): Write<"dedupe_key"> {
  return {
    put: "dedupe_key",
    record: { id, requestId: request.id, contentHash, keptUntil: request.expiresAt + retentionMs },
    ifVersion: key?.version ?? absent,
  };
}

/** Commits the extra writes of the ask, if any, and returns the existing request. */
export async function returnExisting(
  store: Store,
  { id, expiresAt }: ApprovalRequest,
  extraWrites: readonly Write<UnloggedKind>[],
): Promise<Acknowledgement | "conflict"> {
  if (extraWrites.length > 0 && (await store.commitUnlogged({ writes: extraWrites })) === "conflict")
    return "conflict";
  return { requestId: id, expiresAt, joined: true };
}
