/**
 * The API that is about to act uses the token up: reserve, then complete or fail. Of any number of concurrent
 * reservations one wins. A crash in between fails closed: the token stays reserved, and later unknown, never issued.
 * A call whose digest is not the approved one burns nothing and is logged.
 */

import type { SpendOperation } from "@countersign/protocol";
import { toApiActor } from "../../audit/actor.ts";
import type { Event } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { PolicySource } from "../../config/policy.ts";
import type { Api } from "../../domain/client/client.ts";
import {
  finish,
  hashToken,
  reserve,
  type Spend,
  type SpendRefusal,
  type Token,
} from "../../domain/token/token.ts";
import type { Store } from "../../store/store.ts";
import { traceLink } from "../../tracing/tracing.ts";

export type SpendDeps = { readonly store: Store; readonly policy: PolicySource };
export type SpendRefused = { readonly refused: SpendRefusal };

export type SpendInput = {
  readonly api: Api;
  readonly accessToken: string;
  readonly spendId: string;
} & (
  | { readonly operation: "reserve"; readonly digest: string }
  | { readonly operation: "complete" | "fail" }
);

export async function spend({ store, policy }: SpendDeps, input: SpendInput): Promise<Token | SpendRefused> {
  const { api, spendId, operation } = input;
  const audience = policy.current().apis.get(api.api)?.audience;
  for (;;) {
    const found = await store.read("token", hashToken(input.accessToken));
    // Unknown, and another API's, are one answer: an API learns nothing about tokens that are not for it.
    if (!found || audience === undefined || found.record.audience !== audience)
      return { refused: "invalid_token" };
    const token = found.record;
    traceLink({ id: token.requestId, traceparent: token.traceparent });
    const now = store.now();
    const by: Omit<Spend, "digest"> = { api: api.id, audience, spendId };
    const next =
      operation === "reserve"
        ? reserve(token, { ...by, digest: input.digest }, now)
        : finish(token, operation === "complete" ? "completed" : "failed", by, now);
    if ("refused" in next) return operation === "reserve" ? await refuse(store, api, token, next, now) : next;
    if (next === token) return token;

    // A paused agent stops everywhere at once; what was reserved before may still say how it ended.
    const agent = operation === "reserve" ? await store.read("agent", token.agent) : undefined;
    if (operation === "reserve" && (!agent || agent.record.paused))
      return await refuse(store, api, token, { refused: "invalid_token" }, now);

    const outcome = await store.commit({
      ...(operation === "reserve" && { notOnOrAfter: token.expiresAt }),
      writes: [
        { put: "token", record: next, ifVersion: found.version },
        ...(agent ? [{ check: "agent" as const, id: token.agent, ifVersion: agent.version }] : []),
      ],
      entries: [newEntry(spendEvents[operation], now, about(api, token))],
    });
    if (outcome === "committed") return next;
  }
}

const spendEvents = {
  reserve: "token.reserved",
  complete: "token.completed",
  fail: "token.failed",
} as const satisfies Record<SpendOperation, Event>;

function about(api: Api, { requestId: request, agent, jti, digest }: Token) {
  return { actor: toApiActor(api.id), request, agent, token: jti, api: api.id, digest };
}

async function refuse(
  store: Store,
  api: Api,
  token: Token,
  refusal: SpendRefused,
  now: number,
): Promise<SpendRefused> {
  const facts = { error: refusal.refused };
  await store.commit({
    writes: [],
    entries: [newEntry("spend.refused", now, { ...about(api, token), facts })],
  });
  return refusal;
}
