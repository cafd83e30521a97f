/**
 * An ask that leads to a request which is there already: by the Idempotency-Key that the agent gave it, also after that
 * request has ended; or because the same action still waits, or was approved and is not redeemed. Nobody is asked by it.
 */
import { hashJson } from "@countersign/protocol";
import { type Approval, stateAt } from "../approval/approval.ts";
import type { AskKey, PassingKind } from "../store/record.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";
import type { Passed, Wish } from "./gate.ts";

export type Acknowledged = {
  readonly approval: string;
  readonly expiresAt: number;
  /** True where the same action was already waiting, or the same key was used before, and this is its answer. */
  readonly joined: boolean;
};

/** An idempotency key outlives its request by this: longer than any task is retried for. */
const keptAfterExpiryMs = 30 * 24 * 3_600_000;

/** The request that a key leads to, if there is one, and what makes it lead there from now on. */
export type Way = {
  readonly request: Approval | undefined;
  readonly keep: (approval: Approval) => readonly Write<"ask_key">[];
};

/** `invalid_request`: the key was used to ask for something else. */
export async function readIdempotencyKey(
  store: Store,
  agentId: string,
  key: string | undefined,
  content: string,
): Promise<Way | { readonly refused: "invalid_request"; readonly why: string }> {
  if (!key) return { request: undefined, keep: () => [] };
  const id = `key:${hashJson({ agent: agentId, key })}`;
  const held = await store.read("ask_key", id);
  if (held && held.record.content !== content)
    return { refused: "invalid_request", why: "this Idempotency-Key was used to ask for something else" };
  return await wayOf(store, id, held, content);
}

/** What the agent said. Not who is enrolled or how a type is declared today: those may change between two tries. */
export function contentOf({ hint, level }: Wish, { parts }: Passed): string {
  return hashJson({
    parts: parts.map(({ rule, bound }) => ({ type: rule.definition.type, bound })),
    hint: { ...hint },
    level: level ?? "",
  });
}

/** The same action at the same level, as long as its request may still become a token. */
export async function readWaiting(
  store: Store,
  { askKey: id }: Approval,
  content: string,
  now: number,
): Promise<Way> {
  const way = await wayOf(store, id, await store.read("ask_key", id), content);
  const { request } = way;
  return request && ["pending", "approved"].includes(stateAt(request, now))
    ? way
    : { ...way, request: undefined };
}

async function wayOf(
  store: Store,
  id: string,
  held: Held<"ask_key"> | undefined,
  content: string,
): Promise<Way> {
  const request = held && (await store.read("approval", held.record.approval));
  return {
    request: request?.record,
    keep: (approval) => {
      const keptUntil = approval.expiresAt + keptAfterExpiryMs;
      const record: AskKey = { id, approval: approval.id, content, keptUntil };
      return [{ put: "ask_key", record, expect: held?.version ?? absent }];
    },
  };
}

/** Leads an ask to a request that is there, with whatever the ask leaves behind. */
export async function join(
  store: Store,
  { id, expiresAt }: Approval,
  writes: readonly Write<PassingKind>[],
): Promise<Acknowledged | "conflict"> {
  if (writes.length > 0 && (await store.pass({ writes })) === "conflict") return "conflict";
  return { approval: id, expiresAt, joined: true };
}
