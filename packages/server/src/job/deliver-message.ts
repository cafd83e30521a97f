/**
 * Delivers the message outbox: at least once, with increasing delays and bounded retries; abandoned messages are in the audit
 * log. A message is leased before it is sent, so that one node sends it; after a crash the lease expires and it is sent again.
 * A message is not sent if its request is no longer pending or its agent is paused. A message with a receipt is queued again, to
 * report the end of its request.
 */

import type { RequestState } from "@countersign/protocol";
import { getErrorMessage } from "@countersign/protocol";
import { job } from "../audit/actor.ts";
import { newEntry } from "../audit/new-entry.ts";
import { DeliveryError, type OpenChannel, type Receipt, type RequestOutcome } from "../channel/channel.ts";
import { newId } from "../domain/id.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import type { Contact } from "../store/record/contact.ts";
import type { Message, MessageKind } from "../store/record/message.ts";
import { absent, type Store, type Versioned, type Write } from "../store/store.ts";
import { traceCall } from "../tracing/tracing.ts";
import { checkIntegrity } from "../usecase/request/check-integrity.ts";
import { scheduleUpdates } from "./schedule-updates.ts";

export type DeliverDeps = {
  readonly store: Store;
  readonly channels: ReadonlyMap<string, Pick<OpenChannel, "contacts" | "send" | "update">>;
};

/** Messages claimed and sent at a time. */
const batchSize = 20;
/** A run claims no more messages after this time, because a shutdown waits for the run to end. */
const maxRunMs = 500;
/** Delay after each failed attempt. After the last one, the message is abandoned. */
const delaysMs = [2_000, 10_000, 30_000, 60_000, 300_000];
/** Upper bound of the delay that a channel requests. */
const maxDelayMs = 3_600_000;

/** Sends due messages in batches for up to `maxRunMs`. Returns the number of messages attempted. */
export async function deliver(deps: DeliverDeps): Promise<number> {
  const { store } = deps;
  const until = store.now() + maxRunMs;
  for (let attempted = 0; ; ) {
    const claimed = await store.claim("message", { limit: batchSize });
    await Promise.all(
      claimed.map((found) => {
        const { kind } = found.record;
        return kind === "resolved" ? deliverUpdate(deps, found) : deliverNew(deps, found, kind);
      }),
    );
    attempted += claimed.length;
    if (claimed.length < batchSize || store.now() >= until) return attempted;
  }
}

/** Sends a message of any kind but `resolved`. */
async function deliverNew(
  { store, channels }: DeliverDeps,
  leased: Versioned<"message">,
  kind: Exclude<MessageKind, "resolved">,
): Promise<void> {
  const { channel: name, requestId, approver: approverId, lastError } = leased.record;
  const request = await store.read("request", requestId);
  const approver = await store.read("approver", approverId);
  const agent = request && (await store.read("agent", request.record.agent));
  const channel = channels.get(name);
  // Include the last delivery error: it tells the operator why the message was not sent in time.
  const abandon = (why: string) =>
    conclude(store, leased, {
      problem: lastError === undefined ? why : `${why}; last delivery error: ${lastError}`,
    });
  if (!channel) return await abandon(`channel ${name} is not configured`);
  if (!request || !approver || getRequestState(request.record, store.now()) !== "pending")
    return await abandon("the request ended before the message could be sent");
  if (!agent || agent.record.paused)
    return await abandon("the agent was paused before the message could be sent");

  try {
    await checkIntegrity(store, request.record);
  } catch (error) {
    return await abandon(getErrorMessage(error));
  }
  let message = leased;
  let contact: Versioned<"contact"> | undefined;
  if (channel.contacts === "registered") {
    const chosen = await chooseContact(store, leased);
    if (chosen === undefined) return;
    if ("problem" in chosen) return await abandon(chosen.problem);
    ({ message, contact } = chosen);
  }
  const messageId = message.record.id;
  const attempt = await tryCall(request.record, name, () =>
    channel.send(
      { kind, messageId, request: request.record },
      { approver: approver.record, address: contact?.record.address ?? approver.record.email },
    ),
  );
  const receipt = channel.update && attempt.receipt;
  const next = receipt && newUpdate(message.record, receipt, request.record);
  await conclude(store, message, { ...attempt, next, contact });
  // The request may have ended while the message was being sent, when there was no receipt to schedule yet.
  if (next && (await store.readStatus(requestId))?.state !== "pending")
    await scheduleUpdates(store, requestId);
}

/** Edits a message that was sent: its request has ended. */
async function deliverUpdate({ store, channels }: DeliverDeps, leased: Versioned<"message">): Promise<void> {
  const { channel: name, requestId, receipt, id: messageId } = leased.record;
  const channel = channels.get(name);
  const request = (await store.read("request", requestId))?.record;
  if (!channel?.update || !receipt || !request)
    return await conclude(store, leased, { problem: `channel ${name} cannot update the message` });
  const state = getRequestState(request, store.now());
  if (state === "pending") {
    const waiting: Message = { ...leased.record, attempts: 0, dueAt: request.expiresAt };
    await store.commitUnlogged({ writes: [{ put: "message", record: waiting, ifVersion: leased.version }] });
    return;
  }
  const { update } = channel;
  const attempt = await tryCall(request, name, async () => {
    await update(receipt, { kind: "resolved", messageId, request, outcome: toOutcome(state) });
    return undefined;
  });
  await conclude(store, leased, attempt);
}

/** Returns how the request ended for its approvers: an approval stays one when it was redeemed or has lapsed. */
function toOutcome(state: Exclude<RequestState, "pending">): RequestOutcome {
  return state === "redeemed" || state === "lapsed" ? "approved" : state;
}

/**
 * Chooses the contact of a message to an approver with registered contacts. The first time, queues a message for each further
 * contact. Returns undefined if there is nothing to send: the approver has no contact for this channel, or another node holds
 * the message.
 */
async function chooseContact(
  store: Store,
  leased: Versioned<"message">,
): Promise<
  | { readonly message: Versioned<"message">; readonly contact: Versioned<"contact"> }
  | { readonly problem: string }
  | undefined
> {
  const { channel, approver, contact: chosenId, id } = leased.record;
  const usable = (await store.listContactsOf(approver)).filter(
    ({ record }) => record.channel === channel && record.disabledAt === undefined,
  );
  if (chosenId !== undefined) {
    const contact = usable.find(({ record }) => record.id === chosenId);
    return contact ? { message: leased, contact } : { problem: "the contact was removed or disabled" };
  }
  const [contact, ...others] = usable;
  if (!contact) {
    await store.commitUnlogged({ writes: [{ delete: "message", id, ifVersion: leased.version }] });
    return undefined;
  }
  const now = store.now();
  const message: Message = { ...leased.record, contact: contact.record.id };
  const writes: Write<"message">[] = [
    { put: "message", record: message, ifVersion: leased.version },
    ...others.map(({ record: other }) => ({
      put: "message" as const,
      record: { ...message, id: newId("msg", now), contact: other.id, attempts: 0, dueAt: now },
      ifVersion: absent,
    })),
  ];
  // Crashing before this leaves one message without a contact, after it one for each contact; the lease covers only the first.
  if ((await store.commitUnlogged({ writes })) === "conflict") return undefined;
  return { message: { record: message, version: leased.version + 1 }, contact };
}

/** The result of an attempt. `retry`: not before this delay, and as often as the schedule allows. */
type Attempt = {
  readonly receipt?: Receipt | undefined;
  readonly problem?: string;
  readonly retry?: { readonly afterMs: number };
  readonly addressGone?: true;
};

async function tryCall(
  request: ApprovalRequest,
  channel: string,
  call: () => Promise<Receipt | undefined>,
): Promise<Attempt> {
  try {
    return { receipt: await traceCall(request, channel, call) };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    if (!(error instanceof DeliveryError)) return { problem, retry: { afterMs: 0 } };
    if (error.failure === "temporary") return { problem, retry: { afterMs: error.retryAfterMs } };
    return error.failure === "address_gone" ? { problem, addressGone: true } : { problem };
  }
}

/** Returns the message that will report the end of the request. It is due when the request expires, at the latest. */
function newUpdate(
  { lastError: _, ...message }: Message,
  receipt: Receipt,
  { expiresAt }: ApprovalRequest,
): Message {
  return { ...message, kind: "resolved", receipt, attempts: 0, dueAt: expiresAt };
}

type Conclusion = Attempt & {
  /** Queued in place of the message that was sent. */
  readonly next?: Message | undefined;
  /** Disabled if its address is gone. */
  readonly contact?: Versioned<"contact"> | undefined;
};

/** Commits the result of an attempt: retried later, sent, or abandoned. */
async function conclude(
  store: Store,
  { record: message, version }: Versioned<"message">,
  { problem, retry, addressGone, next, contact }: Conclusion,
): Promise<void> {
  const now = store.now();
  const scheduledMs = retry && delaysMs[message.attempts - 1];
  if (problem !== undefined && scheduledMs !== undefined) {
    const delayMs = Math.min(Math.max(scheduledMs, Math.ceil(retry!.afterMs)), maxDelayMs);
    const later: Message = { ...message, dueAt: now + delayMs, lastError: problem };
    await store.commitUnlogged({ writes: [{ put: "message", record: later, ifVersion: version }] });
    return;
  }
  const done: Message =
    problem === undefined
      ? (next ?? { ...message, state: "sent" })
      : { ...message, state: "abandoned", lastError: problem };
  const { requestId: request, approver, channel, attempts, kind } = message;
  const entry = newEntry(problem === undefined ? "message.sent" : "message.abandoned", now, {
    actor: job,
    request,
    approver,
    facts: { channel, attempts, kind },
    texts: { problem },
  });
  const disabled = addressGone && contact && disableContact(contact, problem ?? "", now);
  await store.commit({
    writes: [
      { put: "message", record: done, ifVersion: version },
      ...(disabled ? [{ put: "contact", record: disabled, ifVersion: contact.version } as const] : []),
    ],
    entries: [
      entry,
      ...(disabled
        ? [
            newEntry("contact.disabled", now, {
              actor: job,
              approver,
              facts: { contact: disabled.id, channel },
              texts: { reason: disabled.disabledReason },
            }),
          ]
        : []),
    ],
  });
}

function disableContact({ record }: Versioned<"contact">, reason: string, now: number): Contact {
  return { ...record, disabledAt: now, disabledReason: reason };
}
