/**
 * What has to leave, leaves: at least once, with growing delay, bounded, and visible when it is given up. A message is
 * claimed before it is sent, so that of several nodes one sends it; if we crash in between, its lease ends and it is
 * sent again. It never decides anything, and a message about a request that is over, or whose agent was paused
 * meanwhile, is not sent.
 */

import { newEntry } from "../audit/new-entry.ts";
import type { Approver } from "../domain/people/approver.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import type { Message } from "../store/record/message.ts";
import type { Store, Versioned } from "../store/store.ts";
import { traceCall } from "../tracing/tracing.ts";

/** A way to reach an approver. Built in `channels/`. A throw means: not delivered, try again. */
export interface Channel {
  readonly name: string;
  send(notice: {
    readonly request: ApprovalRequest;
    readonly approver: Approver;
    readonly messageId: string;
  }): Promise<void>;
}

export type DeliverDeps = { readonly store: Store; readonly channels: ReadonlyMap<string, Channel> };

/** So many at a time. */
const batch = 20;
/** After so long a round takes up nothing more: whoever ends the server waits for it. */
const roundMs = 500;
/** Delay after each failed attempt. When they are used up, the message is given up. */
const delaysMs = [2_000, 10_000, 30_000, 60_000, 300_000];

/** One round: while there are more, and the channels answer quickly. Answers how many messages were tried. */
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
  if (!channel) problem = `no channel ${leased.channel} is set up`;
  else if (!waiting) problem = "the request was over before it could be sent";
  else if (!wanted) problem = "the agent was paused before it could be sent";
  else
    problem = await traceCall(request.record, channel.name, () =>
      channel.send({ request: request.record, approver: approver.record, messageId: leased.id }),
    )
      .then(() => undefined)
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)));

  // Why it could not leave while there was time is what the operator needs to hear.
  if (problem !== undefined && !wanted && leased.lastError !== undefined)
    problem = `${problem}; the last attempt said: ${leased.lastError}`;

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
        request: leased.requestId,
        approver: leased.approver,
        facts: { channel: leased.channel, attempts: leased.attempts },
        texts: { problem },
      }),
    ],
  });
}
