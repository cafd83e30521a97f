/**
 * The API spends the token before it acts: reserve, then complete or fail. Of concurrent reservations one succeeds. A
 * crash in between fails closed: the token stays reserved and later becomes unknown, never issued again. A call with
 * another digest than the approved one does not use the token up and is logged.
 */

import type { SpendOperation } from "@countersign/protocol";
import { toApiActor } from "../../audit/actor.ts";
import type { Event } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { PolicySource } from "../../config/policy.ts";
import type { Api } from "../../domain/client/client.ts";
import {
  hashToken,
  recordOutcome,
  reserve,
  type Spend,
  type SpendRefusal,
  type Token,
} from "../../domain/token/token.ts";
import type { Store } from "../../store/store.ts";
import { traceLink } from "../../tracing/tracing.ts";

export type SpendDeps = { readonly store: Store; readonly policy: PolicySource };
export type SpendTokenRefused = { readonly refused: SpendRefusal };

export type SpendInput = {
  readonly api: Api;
  readonly accessToken: string;
  readonly spendId: string;
} & (
  | { readonly operation: "reserve"; readonly digest: string }
  | { readonly operation: "complete" | "fail" }
);

export async function spend(
  { store, policy }: SpendDeps,
  input: SpendInput,
): Promise<Token | SpendTokenRefused> {
  const { api, spendId, operation } = input;
  const audience = policy.current().apis.get(api.api)?.audience;
  for (;;) {
    const found = await store.read("token", hashToken(input.accessToken));
    // Same refusal for unknown tokens and tokens of other APIs, so that an API learns nothing about the latter.
    if (!found || audience === undefined || found.record.audience !== audience)
      return { refused: "invalid_token" };
    const token = found.record;
    traceLink({ id: token.requestId, traceparent: token.traceparent });
    const now = store.now();
    const caller: Omit<Spend, "digest"> = { api: api.id, audience, spendId };
    const next =
      operation === "reserve"
        ? reserve(token, { ...caller, digest: input.digest }, now)
        : recordOutcome(token, operation === "complete" ? "completed" : "failed", caller, now);
    if ("refused" in next) return operation === "reserve" ? await refuse(store, api, token, next, now) : next;
    if (next === token) return token;

    // A paused agent cannot start a spend; one that was reserved before may still be completed.
    const agent = operation === "reserve" ? await store.read("agent", token.agent) : undefined;
    if (operation === "reserve" && (!agent || agent.record.paused))
      return await refuse(store, api, token, { refused: "invalid_token" }, now);

    const outcome = await store.commit({
      ...(operation === "reserve" && { notOnOrAfter: token.expiresAt }),
      writes: [
        { put: "token", record: next, ifVersion: found.version },
        ...(agent ? [{ check: "agent" as const, id: token.agent, ifVersion: agent.version }] : []),
      ],
      entries: [newEntry(spendEvents[operation], now, toEntryDetails(api, token))],
    });
    if (outcome === "committed") return next;
  }
}

const spendEvents = {
  reserve: "token.reserved",
  complete: "token.completed",
  fail: "token.failed",
} as const satisfies Record<SpendOperation, Event>;

function toEntryDetails(api: Api, { requestId: request, agent, jti, digest }: Token) {
  return { actor: toApiActor(api.id), request, agent, token: jti, api: api.id, digest };
}

async function refuse(
  store: Store,
  api: Api,
  token: Token,
  refusal: SpendTokenRefused,
  now: number,
): Promise<SpendTokenRefused> {
  const facts = { error: refusal.refused };
  await store.commit({
    writes: [],
    entries: [newEntry("spend.refused", now, { ...toEntryDetails(api, token), facts })],
  });
  return refusal;
}
