/**
 * Delivers the message outbox: at least once, with increasing delays and bounded retries; abandoned messages are in the audit
 * log. A message is leased before it is sent, so that one node sends it; after a crash the lease expires and it is sent again.
 * A message is not sent if its request is no longer pending or its agent is paused.
 */

import { getErrorMessage } from "@countersign/protocol";
import { job } from "../audit/actor.ts";
import { newEntry } from "../audit/new-entry.ts";
import type { Approver } from "../domain/people/approver.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import type { Message } from "../store/record/message.ts";
import type { Store, Versioned } from "../store/store.ts";
import { traceCall } from "../tracing/tracing.ts";

/** A notification channel to approvers. Created in `channel/`. If `send` rejects, the message is retried. */
export interface Channel {
  readonly name: string;
  send(notice: {
    readonly request: ApprovalRequest;
    readonly approver: Approver;
    readonly messageId: string;
  }): Promise<void>;
}

export type DeliverDeps = { readonly store: Store; readonly channels: ReadonlyMap<string, Channel> };

/** Messages claimed and sent at a time. */
const batch = 20;
/** A run claims no more messages after this time, because a shutdown waits for the run to end. */
const roundMs = 500;
/** Delay after each failed attempt. After the last one, the message is abandoned. */
const delaysMs = [2_000, 10_000, 30_000, 60_000, 300_000];

/** Sends due messages in batches for up to `roundMs`. Returns the number of messages attempted. */
export async function deliver(deps: DeliverDeps): Promise<number> {
  const { store } = deps;
  const until = store.now() + roundMs;
  for (let tried = 0; ; ) {
    const claimed = await store.claim("message", { limit: batch });
    await Promise.all(claimed.map((found) => deliverOne(deps, found)));
    tried += claimed.length;
    if (claimed.length < batch || store.now() >= until) return tried;
  }
}

async function deliverOne(
  { store, channels }: DeliverDeps,
  { record: leased, version }: Versioned<"message">,
): Promise<void> {
  const now = store.now();
  const request = await store.read("request", leased.requestId);
  const approver = await store.read("approver", leased.approver);
  const agent = request && (await store.read("agent", request.record.agent));
  const channel = channels.get(leased.channel);
  const waiting = request && approver && getRequestState(request.record, now) === "pending";
  const wanted = channel && waiting && agent && !agent.record.paused;
  let problem: string | undefined;
  if (!channel) problem = `channel ${leased.channel} is not configured`;
  else if (!waiting) problem = "the request ended before the message could be sent";
  else if (!wanted) problem = "the agent was paused before the message could be sent";
  else
    problem = await traceCall(request.record, channel.name, () =>
      channel.send({ request: request.record, approver: approver.record, messageId: leased.id }),
    )
      .then(() => undefined)
      .catch(getErrorMessage);

  // Include the last delivery error: it tells the operator why the message was not sent in time.
  if (problem !== undefined && !wanted && leased.lastError !== undefined)
    problem = `${problem}; last delivery error: ${leased.lastError}`;

  const delay = wanted ? delaysMs[leased.attempts - 1] : undefined;
  if (problem !== undefined && delay !== undefined) {
    const later: Message = { ...leased, dueAt: store.now() + delay, lastError: problem };
    await store.commitUnlogged({ writes: [{ put: "message", record: later, ifVersion: version }] });
    return;
  }
  const done: Message =
    problem === undefined
      ? { ...leased, state: "sent" }
      : { ...leased, state: "abandoned", lastError: problem };
  await store.commit({
    writes: [{ put: "message", record: done, ifVersion: version }],
    entries: [
      newEntry(problem === undefined ? "message.sent" : "message.abandoned", store.now(), {
        actor: job,
        request: leased.requestId,
        approver: leased.approver,
        facts: { channel: leased.channel, attempts: leased.attempts },
        texts: { problem },
      }),
    ],
  });
}
