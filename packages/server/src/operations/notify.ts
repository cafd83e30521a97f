/**
 * Tells an agent that there is an answer: by a ping, or by pushing it (CIBA §10.2, §10.3). A callback is claimed before it is
 * sent, so that of several nodes one sends it; if we crash in between, its lease ends and it is sent again: at least
 * once. Every attempt is in the log. A push that is given up leaves no token: it is revoked in the same commit.
 */
import { type Callback, giveUp, outcomeOf, postpone } from "../client/callback.ts";
import type { Change, Held, NewEntry, Store, Write } from "../store/store.ts";
import { revoke } from "../token/token.ts";
import type { Posted } from "./courier.ts";
import { newEntry } from "./entry.ts";
import { type PushGround, pushBody } from "./push.ts";
import { traceCall } from "./trace.ts";

export type NotifyGround = PushGround & {
  readonly tickets: { readonly issue: (approvalId: string, agentId: string) => string };
};

/** One attempt, at what was claimed. When it is stopped in between, it is made again when the lease has ended. */
export async function notify(
  ground: NotifyGround,
  claimed: Held<"callback">,
  stop: AbortSignal,
): Promise<void> {
  const sent = await send(ground, claimed, stop);
  if (sent) await conclude(ground.store, sent.callback, sent.posted);
}

type Sent = { readonly callback: Callback; readonly posted: Posted };

/** Undefined where it was stopped, or the lease is somebody else's by now. */
async function send(
  ground: NotifyGround,
  claimed: Held<"callback">,
  stop: AbortSignal,
): Promise<Sent | undefined> {
  const { store, courier, callbackSeal, tickets } = ground;
  let held: Held<"callback"> | undefined = claimed;
  for (; held; held = await underLease(store, claimed.record)) {
    const callback: Callback = held.record;
    const agent = await store.read("agent", callback.agent);
    const approval = await store.read("approval", callback.id);
    const problem = obstacle(callback, agent, store.now());
    if (problem !== undefined || !agent || !approval || agent.record.delivery.mode === "poll")
      return { callback, posted: { problem: problem ?? "the request is not there", final: true } };

    const { endpoint } = agent.record.delivery;
    const authReqId = tickets.issue(callback.id, callback.agent);
    const body =
      callback.mode === "ping"
        ? { text: courier.write({ say: "answered", authReqId }), callback }
        : await pushBody(ground, agent, approval, held, authReqId);
    if (body === "conflict") continue;
    const notificationToken = await callbackSeal.open(callback.sealedToken);
    const posted = await traceCall(approval.record, callback.mode, () =>
      courier.post(endpoint, notificationToken, body.text, stop),
    );
    return posted && { callback: body.callback, posted };
  }
  return undefined;
}

/** Why it is not sent at all. */
function obstacle(
  { mode, token }: Callback,
  agent: Held<"agent"> | undefined,
  now: number,
): string | undefined {
  if (!agent) return "the agent was removed";
  if (agent.record.delivery.mode !== mode) return `the agent is not registered for ${mode} any more`;
  return token && now >= token.expiresAt ? "the token expired before it could be delivered" : undefined;
}

/** The callback as it is now, as long as the lease is this one. The agent may have sent another token meanwhile. */
async function underLease(
  store: Store,
  { id, attempts, dueAt }: Callback,
): Promise<Held<"callback"> | undefined> {
  const held = await store.read("callback", id);
  const { record } = held ?? {};
  return record?.state === "waiting" && record.attempts === attempts && record.dueAt === dueAt
    ? held
    : undefined;
}

/** Writes down what an attempt came to. */
async function conclude(store: Store, tried: Callback, posted: Posted): Promise<void> {
  for (;;) {
    const held = await underLease(store, tried);
    if (!held) return;
    const change = await conclusion(store, held, tried.sealedToken, posted);
    if ((await store.commit(change)) === "committed") return;
  }
}

async function conclusion(
  store: Store,
  { record: callback, version: expect }: Held<"callback">,
  usedToken: string,
  posted: Posted,
): Promise<Change> {
  const now = store.now();
  const { id, agent, mode, attempts: attempt, token } = callback;
  const problem = "problem" in posted ? posted.problem : `the endpoint answered ${posted.status}`;
  const entry = (event: "callback.sent" | "callback.failed" | "callback.given_up") =>
    newEntry(event, now, {
      request: id,
      agent,
      token: token?.jti,
      facts: { mode, attempt, ...("status" in posted && { status: posted.status }) },
      texts: event === "callback.sent" ? {} : { problem },
    });
  const put = (record: Callback): Write => ({ put: "callback", record, expect });

  const outcome = "status" in posted ? outcomeOf(posted.status) : posted.final ? "never" : "later";
  // The agent has asked again and listens with another token by now: it is told with that one, whatever became of this.
  const anew = callback.sealedToken === usedToken ? undefined : { ...callback, dueAt: now };
  if (outcome === "taken")
    return {
      writes: [anew ? put(anew) : { drop: "callback", id, expect }],
      entries: [entry("callback.sent")],
    };
  const again = anew ?? (outcome === "later" ? postpone(callback, problem, now) : undefined);
  if (again) return { writes: [put(again)], entries: [entry("callback.failed")] };
  const revoked = await revokedToken(store, callback, now);
  const given = put(giveUp(callback, problem, now));
  return revoked
    ? { writes: [given, revoked.write], entries: [revoked.entry, entry("callback.given_up")] }
    : { writes: [given], entries: [entry("callback.given_up")] };
}

/** The end of a token that could not be delivered. Undefined where it was none, or somebody had it and used it. */
async function revokedToken(
  store: Store,
  { token: made }: Callback,
  now: number,
): Promise<{ readonly write: Write; readonly entry: NewEntry } | undefined> {
  const held = made && (await store.read("token", made.hash));
  const record = held && revoke(held.record, now);
  if (!record || "refused" in record) return undefined;
  const { approval: request, agent, jti: token, digest } = record;
  return {
    write: { put: "token", record, expect: held.version },
    entry: newEntry("token.revoked", now, { request, agent, token, digest }),
  };
}
