/** The inbox, and the stream that tells it when to look again (server-sent events, WHATWG HTML §9.2). */
import { shortDigest } from "@countersign/protocol";
import { partsOf } from "../../action/card.ts";
import { type Approval, stateAt } from "../../approval/approval.ts";
import { type InboxView, inboxPage } from "../../pages/inbox.ts";
import type { Wake } from "../../store/store.ts";
import type { HttpGround } from "../ground.ts";
import type { PageAnswer } from "../page-answer.ts";
import type { Visitor } from "../session.ts";

const shownDecided = 20;
const keepAliveMs = 25_000;

export async function showInbox({ store }: HttpGround, { approver, csrf }: Visitor): Promise<PageAnswer> {
  const now = store.now();
  const waiting = (await store.waitingFor(approver.id))
    .filter(({ decideBy }) => now < decideBy)
    .sort((a, b) => a.decideBy - b.decideBy);
  const decided = await store.decidedBy(approver.id, shownDecided);
  const view: InboxView = {
    approverName: approver.name,
    waiting: waiting.map((approval) => ({
      requestId: approval.id,
      agentName: approval.card.agent.name,
      parts: partsOf(approval.card),
      reversibility: approval.card.reversibility,
      decideBy: approval.decideBy,
      shortDigest: shortDigest(approval.digest),
    })),
    decided: decided.map((approval) => ({
      requestId: approval.id,
      agentName: approval.card.agent.name,
      parts: partsOf(approval.card),
      state: stateAt(approval, now),
      ...rulingOf(approval),
    })),
    now,
    csrf,
  };
  return { page: inboxPage(view) };
}

function rulingOf({ standing, createdAt }: Approval): Pick<InboxView["decided"][number], "verdict" | "at"> {
  if (!("decision" in standing)) return { at: createdAt };
  return { verdict: standing.state === "denied" ? "deny" : "approve", at: standing.decision.at };
}

/** Says "inbox" whenever a request of this approver changed, or something changed in another process. */
export async function inboxEvents(
  { store, onFault }: HttpGround,
  { approver, session }: Visitor,
  _: string,
  request: Request,
): Promise<PageAnswer> {
  const headers = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  };
  if (request.method === "HEAD") return new Response(null, { headers });
  const encoder = new TextEncoder();
  let stop = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      let open = true;
      const send = (text: string) => {
        if (store.now() >= session.expiresAt) stop();
        if (open) controller.enqueue(encoder.encode(text));
      };
      const tell = async (wake: Wake) => {
        if (wake && !wake.candidates.includes(approver.id)) return;
        // Signed out, or the device taken away: this stream hears nothing any more.
        if (!(await store.read("session", session.id))) return stop();
        send("event: inbox\ndata: \n\n");
      };
      const unwatch = store.watch((wake) => {
        // Nobody waits for a listener. The browser connects again, and looks then.
        tell(wake).catch((fault: unknown) => {
          onFault(fault, "GET /inbox/events");
          stop();
        });
      });
      const beat = setInterval(() => send(": still here\n\n"), keepAliveMs).unref();
      stop = () => {
        unwatch();
        clearInterval(beat);
        stop = () => {};
        open = false;
        controller.close();
      };
      request.signal.addEventListener("abort", () => stop());
      send("retry: 2000\n\n");
    },
    cancel: () => stop(),
  });
  return new Response(body, { headers });
}
