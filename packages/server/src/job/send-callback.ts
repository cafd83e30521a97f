/**
 * Sends one callback to an agent: a ping, or a push with the result (CIBA §10.2, §10.3). Delivery is at least once. A callback
 * is leased before it is sent, so that one node sends it; after a crash the lease expires and it is sent again. Every attempt
 * is in the audit log. If a push is abandoned, its token is revoked in the same commit.
 */

import { job } from "../audit/actor.ts";
import type { NewEntry } from "../audit/new-entry.ts";
import { newEntry } from "../audit/new-entry.ts";
import { abandon, type Callback, getDeliveryResult, scheduleRetry } from "../domain/callback/callback.ts";
import { revoke } from "../domain/token/token.ts";
import type { Change, Store, Versioned, Write } from "../store/store.ts";
import { traceCall } from "../tracing/tracing.ts";
import { buildPush, type PushDeps } from "./build-push.ts";
import type { SendResult } from "./callback-client.ts";

export type CallbackDeps = PushDeps & {
  readonly authReqIds: { readonly issue: (requestId: string, agentId: string) => string };
};

/** Makes one attempt to send a claimed callback. An attempt that `stop` aborts is repeated when the lease expires. */
export async function sendCallback(
  deps: CallbackDeps,
  claimed: Versioned<"callback">,
  stop: AbortSignal,
): Promise<void> {
  const sent = await send(deps, claimed, stop);
  if (sent) await conclude(deps.store, sent.callback, sent.result);
}

type Sent = { readonly callback: Callback; readonly result: SendResult };

/** Returns undefined if the attempt was aborted or another node holds the lease. */
async function send(
  deps: CallbackDeps,
  claimed: Versioned<"callback">,
  stop: AbortSignal,
): Promise<Sent | undefined> {
  const { store, callbackClient, callbackSeal, authReqIds } = deps;
  let found: Versioned<"callback"> | undefined = claimed;
  for (; found; found = await readLeased(store, claimed.record)) {
    const callback: Callback = found.record;
    const agent = await store.read("agent", callback.agent);
    const request = await store.read("request", callback.id);
    const problem = findObstacle(callback, agent, store.now());
    if (problem !== undefined || !agent || !request || agent.record.delivery.mode === "poll")
      return { callback, result: { problem: problem ?? "the request does not exist", final: true } };

    const { endpoint } = agent.record.delivery;
    const authReqId = authReqIds.issue(callback.id, callback.agent);
    const body =
      callback.mode === "ping"
        ? { text: callbackClient.encode({ kind: "ping", authReqId }), callback }
        : await buildPush(deps, agent, request, found, authReqId);
    if (body === "conflict") continue;
    const notificationToken = await callbackSeal.open(callback.sealedToken);
    const result = await traceCall(request.record, callback.mode, () =>
      callbackClient.send(endpoint, notificationToken, body.text, stop),
    );
    return result && { callback: body.callback, result };
  }
  return undefined;
}

/** Returns why the callback cannot be sent, or undefined if it can. */
function findObstacle(
  { mode, token }: Callback,
  agent: Versioned<"agent"> | undefined,
  now: number,
): string | undefined {
  if (!agent) return "the agent was removed";
  if (agent.record.delivery.mode !== mode) return `the agent is no longer registered for ${mode}`;
  return token && now >= token.expiresAt ? "the token expired before it could be delivered" : undefined;
}

/** Reads the callback again. Returns undefined if the lease is another one. `sealedToken` may have changed meanwhile. */
async function readLeased(
  store: Store,
  { id, attempts, dueAt }: Callback,
): Promise<Versioned<"callback"> | undefined> {
  const found = await store.read("callback", id);
  const { record } = found ?? {};
  return record?.state === "queued" && record.attempts === attempts && record.dueAt === dueAt
    ? found
    : undefined;
}

/** Commits the result of an attempt. */
async function conclude(store: Store, attempted: Callback, result: SendResult): Promise<void> {
  for (;;) {
    const found = await readLeased(store, attempted);
    if (!found) return;
    const change = await buildConclusion(store, found, attempted.sealedToken, result);
    if ((await store.commit(change)) === "committed") return;
  }
}

async function buildConclusion(
  store: Store,
  { record: callback, version: ifVersion }: Versioned<"callback">,
  usedToken: string,
  result: SendResult,
): Promise<Change> {
  const now = store.now();
  const { id, agent, mode, attempts: attempt, token } = callback;
  const problem = "problem" in result ? result.problem : `the endpoint returned status ${result.status}`;
  const entry = (event: "callback.sent" | "callback.failed" | "callback.abandoned") =>
    newEntry(event, now, {
      actor: job,
      request: id,
      agent,
      token: token?.jti,
      facts: { mode, attempt, ...("status" in result && { status: result.status }) },
      texts: event === "callback.sent" ? {} : { problem },
    });
  const put = (record: Callback): Write => ({ put: "callback", record, ifVersion });

  const outcome = "status" in result ? getDeliveryResult(result.status) : result.final ? "rejected" : "retry";
  // The agent has repeated its request with another notification token: send again with that one, whatever the result.
  const replacement = callback.sealedToken === usedToken ? undefined : { ...callback, dueAt: now };
  if (outcome === "accepted")
    return {
      writes: [replacement ? put(replacement) : { delete: "callback", id, ifVersion }],
      entries: [entry("callback.sent")],
    };
  const retry = replacement ?? (outcome === "retry" ? scheduleRetry(callback, problem, now) : undefined);
  if (retry) return { writes: [put(retry)], entries: [entry("callback.failed")] };
  const revoked = await revokeToken(store, callback, now);
  const abandoned = put(abandon(callback, problem, now));
  return revoked
    ? { writes: [abandoned, revoked.write], entries: [revoked.entry, entry("callback.abandoned")] }
    : { writes: [abandoned], entries: [entry("callback.abandoned")] };
}

/** Returns the revocation of an undelivered token; undefined if there is none or it can no longer be revoked. */
async function revokeToken(
  store: Store,
  { token: undelivered }: Callback,
  now: number,
): Promise<{ readonly write: Write; readonly entry: NewEntry } | undefined> {
  const found = undelivered && (await store.read("token", undelivered.hash));
  const record = found && revoke(found.record, now);
  if (!record || "refused" in record) return undefined;
  const { requestId: request, agent, jti: token, digest } = record;
  return {
    write: { put: "token", record, ifVersion: found.version },
    entry: newEntry("token.revoked", now, { actor: job, request, agent, token, digest }),
  };
}
