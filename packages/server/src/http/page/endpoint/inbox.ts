/** Endpoints of the inbox: the page, and the server-sent events that make it refresh (WHATWG HTML §9.2). */
import { shortDigest } from "@countersign/protocol";
import type { PolicySource } from "../../../config/policy.ts";
import { getCardParts } from "../../../domain/action/card.ts";
import { type ApprovalRequest, getRequestState } from "../../../domain/request/request.ts";
import { type InboxView, renderInboxPage } from "../../../page/inbox.ts";
import type { ChangeEvent, Store } from "../../../store/store.ts";
import { checkIntegrity } from "../../../usecase/request/check-integrity.ts";
import type { SessionPageHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { Viewer } from "../session.ts";

export type InboxDeps = {
  readonly store: Store;
  readonly policy: PolicySource;
  readonly onFault: (fault: unknown, where: string) => void;
};

export function createInboxHandlers(deps: InboxDeps): {
  readonly show: SessionPageHandler;
  readonly events: SessionPageHandler;
} {
  return {
    show: (viewer) => showInbox(deps, viewer),
    events: (viewer, _, request) => streamInboxEvents(deps, viewer, request),
  };
}

const maxDecided = 20;
const keepAliveMs = 25_000;

/** Omits requests whose record was changed by other means; opening one of them fails. */
async function omitDamaged(
  { store, policy, onFault }: InboxDeps,
  requests: readonly ApprovalRequest[],
): Promise<ApprovalRequest[]> {
  const intact: ApprovalRequest[] = [];
  for (const request of requests)
    try {
      await checkIntegrity(store, request, policy.current());
      intact.push(request);
    } catch (fault) {
      onFault(fault, "GET /inbox");
    }
  return intact;
}

async function showInbox(deps: InboxDeps, { approver, csrf }: Viewer): Promise<PageResult> {
  const { store } = deps;
  const now = store.now();
  const pending = (await omitDamaged(deps, await store.listPendingFor(approver.id)))
    .filter(({ decideBy }) => now < decideBy)
    .sort((a, b) => a.decideBy - b.decideBy);
  const decided = await omitDamaged(deps, await store.listDecidedBy(approver.id, maxDecided));
  const view: InboxView = {
    approverName: approver.name,
    waiting: pending.map((request) => ({
      requestId: request.id,
      agentName: request.card.agent.name,
      parts: getCardParts(request.card),
      reversibility: request.card.reversibility,
      decideBy: request.decideBy,
      shortDigest: shortDigest(request.digest),
    })),
    decided: decided.map((request) => ({
      requestId: request.id,
      agentName: request.card.agent.name,
      parts: getCardParts(request.card),
      state: getRequestState(request, now),
      ...toDecidedFields(request),
    })),
    now,
    csrf,
  };
  return { page: renderInboxPage(view) };
}

function toDecidedFields({
  status,
  createdAt,
}: ApprovalRequest): Pick<InboxView["decided"][number], "verdict" | "at"> {
  if (!("decision" in status)) return { at: createdAt };
  return { verdict: status.state === "denied" ? "deny" : "approve", at: status.decision.at };
}

/** Streams an `inbox` event when a request of this approver changes, or when another process writes. */
async function streamInboxEvents(
  { store, onFault }: InboxDeps,
  { approver, session }: Viewer,
  request: Request,
): Promise<PageResult> {
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
      let isOpen = true;
      const send = (text: string) => {
        if (store.now() >= session.expiresAt) stop();
        if (isOpen) controller.enqueue(encoder.encode(text));
      };
      const notify = async (event: ChangeEvent) => {
        if (event && !event.candidates.includes(approver.id)) return;
        // The approver signed out, or the device was removed: close the stream.
        if (!(await store.read("session", session.id))) return stop();
        send("event: inbox\ndata: \n\n");
      };
      const unwatch = store.watch((event) => {
        // Store listeners are not awaited. The browser reconnects and then refreshes.
        notify(event).catch((fault: unknown) => {
          onFault(fault, "GET /inbox/events");
          stop();
        });
      });
      const keepAlive = setInterval(() => send(": keep-alive\n\n"), keepAliveMs).unref();
      stop = () => {
        unwatch();
        clearInterval(keepAlive);
        stop = () => {};
        isOpen = false;
        controller.close();
      };
      request.signal.addEventListener("abort", () => stop());
      send("retry: 2000\n\n");
    },
    cancel: () => stop(),
  });
  return new Response(body, { headers });
}
