/**
 * An ask that leads to a request which is there already: by the Idempotency-Key that the agent gave it, also after that
 * request has ended; or because the same action still waits, or was approved and is not redeemed. Nobody is asked by it.
 */
import { hashJson } from "@countersign/protocol";
import { type ApprovalRequest, getRequestState } from "../../domain/request/request.ts";
import type { DedupeKey, UnloggedKind } from "../../store/record.ts";
import { absent, type Store, type Versioned, type Write } from "../../store/store.ts";
import type { AskParameters, ResolvedAsk } from "./resolve-ask.ts";

export type Acknowledgement = {
  readonly requestId: string;
  readonly expiresAt: number;
  /** True where the same action was already waiting, or the same key was used before, and this is its answer. */
  readonly joined: boolean;
};

/** An idempotency key outlives its request by this: longer than any task is retried for. */
const keptAfterExpiryMs = 30 * 24 * 3_600_000;

/** The request that a key leads to, if there is one, and what makes it lead there from now on. */
export type ExistingRequest = {
  readonly request: ApprovalRequest | undefined;
  readonly keep: (request: ApprovalRequest) => readonly Write<"dedupe_key">[];
};

/** `invalid_request`: the key was used to ask for something else. */
export async function findByIdempotencyKey(
  store: Store,
  agentId: string,
  key: string | undefined,
  content: string,
): Promise<ExistingRequest | { readonly refused: "invalid_request"; readonly why: string }> {
  if (!key) return { request: undefined, keep: () => [] };
  const id = `key:${hashJson({ agent: agentId, key })}`;
  const found = await store.read("dedupe_key", id);
  if (found && found.record.contentHash !== content)
    return { refused: "invalid_request", why: "this Idempotency-Key was used to ask for something else" };
  return await wayOf(store, id, found, content);
}

/** What the agent said. Not who is enrolled or how a type is declared today: those may change between two tries. */
export function hashContent({ hint, level }: AskParameters, { parts }: ResolvedAsk): string {
  return hashJson({
    parts: parts.map(({ policy, bound }) => ({ type: policy.definition.type, bound })),
    hint: { ...hint },
    level: level ?? "",
  });
}

/** The same action at the same level, as long as its request may still become a token. */
export async function findDuplicate(
  store: Store,
  { dedupeKey: id }: ApprovalRequest,
  content: string,
  now: number,
): Promise<ExistingRequest> {
  const way = await wayOf(store, id, await store.read("dedupe_key", id), content);
  const { request } = way;
  return request && ["pending", "approved"].includes(getRequestState(request, now))
    ? way
    : { ...way, request: undefined };
}

async function wayOf(
  store: Store,
  id: string,
  found: Versioned<"dedupe_key"> | undefined,
  content: string,
): Promise<ExistingRequest> {
  const request = found && (await store.read("request", found.record.requestId));
  return {
    request: request?.record,
    keep: (request) => {
      const keptUntil = request.expiresAt + keptAfterExpiryMs;
      const record: DedupeKey = { id, requestId: request.id, contentHash: content, keptUntil };
      return [{ put: "dedupe_key", record, ifVersion: found?.version ?? absent }];
    },
  };
}

/** Leads an ask to a request that is there, with whatever the ask leaves behind. */
export async function returnExisting(
  store: Store,
  { id, expiresAt }: ApprovalRequest,
  writes: readonly Write<UnloggedKind>[],
): Promise<Acknowledgement | "conflict"> {
  if (writes.length > 0 && (await store.commitUnlogged({ writes })) === "conflict") return "conflict";
  return { requestId: id, expiresAt, joined: true };
}
