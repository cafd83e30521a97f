/**
 * What has to leave, leaves: at least once, with growing delay, bounded, and visible when it is given up. A message is
 * claimed before it is sent, so that of several nodes one sends it; if we crash in between, its lease ends and it is
 * sent again. It never decides anything, and a message about a request that is over, or whose agent was paused
 * meanwhile, is not sent.
 */
import { type Approval, stateAt } from "../approval/approval.ts";
import type { Approver } from "../approver/approver.ts";
import type { Message } from "../store/record.ts";
import type { Held, Store } from "../store/store.ts";
import { newEntry } from "./entry.ts";
import { traceCall } from "./trace.ts";

/** A way to reach an approver. Built in `channels/`. A throw means: not delivered, try again. */
export interface Channel {
  readonly name: string;
  send(notice: {
    readonly approval: Approval;
    readonly approver: Approver;
    readonly messageId: string;
  }): Promise<void>;
}

export type DeliverGround = { readonly store: Store; readonly channels: ReadonlyMap<string, Channel> };

/** So many at a time. */
const batch = 20;
/** After so long a round takes up nothing more: whoever ends the server waits for it. */
const roundMs = 500;
/** Delay after each failed attempt. When they are used up, the message is given up. */
const delaysMs = [2_000, 10_000, 30_000, 60_000, 300_000];

/** One round: while there are more, and the channels answer quickly. Answers how many messages were tried. */
export async function deliver(ground: DeliverGround): Promise<number> {
  const { store } = ground;
  const until = store.now() + roundMs;
  for (let tried = 0; ; ) {
    const claimed = await store.claim("message", { limit: batch });
    await Promise.all(claimed.map((held) => deliverOne(ground, held)));
    tried += claimed.length;
    if (claimed.length < batch || store.now() >= until) return tried;
  }
}

async function deliverOne(
  { store, channels }: DeliverGround,
  { record: leased, version }: Held<"message">,
): Promise<void> {
  const now = store.now();
  const approval = await store.read("approval", leased.approval);
  const approver = await store.read("approver", leased.approver);
  const agent = approval && (await store.read("agent", approval.record.agent));
  const channel = channels.get(leased.channel);
  const waiting = approval && approver && stateAt(approval.record, now) === "pending";
  const wanted = channel && waiting && agent && !agent.record.paused;
  let problem: string | undefined;
  if (!channel) problem = `no channel ${leased.channel} is set up`;
  else if (!waiting) problem = "the request was over before it could be sent";
  else if (!wanted) problem = "the agent was paused before it could be sent";
  else
    problem = await traceCall(approval.record, channel.name, () =>
      channel.send({ approval: approval.record, approver: approver.record, messageId: leased.id }),
    )
      .then(() => undefined)
      .catch((error: unknown) => (error instanceof Error ? error.message : String(error)));

  // Why it could not leave while there was time is what the operator needs to hear.
  if (problem !== undefined && !wanted && leased.lastError !== undefined)
    problem = `${problem}; the last attempt said: ${leased.lastError}`;

  const delay = wanted ? delaysMs[leased.attempts - 1] : undefined;
  if (problem !== undefined && delay !== undefined) {
    const later: Message = { ...leased, dueAt: store.now() + delay, lastError: problem };
    await store.pass({ writes: [{ put: "message", record: later, expect: version }] });
    return;
  }
  const done: Message =
    problem === undefined
      ? { ...leased, state: "sent" }
      : { ...leased, state: "given_up", lastError: problem };
  await store.commit({
    writes: [{ put: "message", record: done, expect: version }],
    entries: [
      newEntry(problem === undefined ? "message.sent" : "message.given_up", store.now(), {
        request: leased.approval,
        approver: leased.approver,
        facts: { channel: leased.channel, attempts: leased.attempts },
        texts: { problem },
      }),
    ],
  });
}
