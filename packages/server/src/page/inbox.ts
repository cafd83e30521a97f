/** Renders the inbox: pending requests and recent outcomes. Decisions are made on the card only. */
import type { RequestState, Reversibility } from "@countersign/protocol";
import { html } from "hono/html";
import type { CardPart } from "../domain/action/card.ts";
import { outcomes, renderMonogram } from "./card.ts";
import { type Html, renderPage } from "./layout.ts";
import { renderActionSummary, renderCountdown, renderInstant, renderReversibility } from "./phrase.ts";

export type InboxView = {
  readonly approverName: string;
  /** Most urgent first. */
  readonly waiting: readonly {
    readonly requestId: string;
    readonly agentName: string;
    readonly parts: readonly CardPart[];
    readonly reversibility: Reversibility;
    readonly decideBy: number;
    readonly shortDigest: string;
  }[];
  /** Most recent first. */
  readonly decided: readonly {
    readonly requestId: string;
    readonly agentName: string;
    readonly parts: readonly CardPart[];
    readonly state: RequestState;
    readonly verdict?: "approve" | "deny" | undefined;
    readonly at: number;
  }[];
  readonly now: number;
  readonly csrf: string;
};

/** Renders the inbox. `inbox.js` replaces the element `inbox` when `/inbox/events` sends an event `inbox`. */
export function renderInboxPage(view: InboxView): Html {
  const count = view.waiting.length;
  const pendingHeading =
    count === 1 ? "One request is waiting for you" : `${count} requests are waiting for you`;
  const heading = count === 0 ? "You’re all caught up" : pendingHeading;
  return renderPage({
    title: count === 0 ? "Inbox" : `(${count}) Inbox`,
    approverName: view.approverName,
    here: "inbox",
    scripts: ["countdown.js", "inbox.js"],
    main: html`<p class="unseen" id="inbox-status" role="status"></p>
<div class="sheet" id="inbox" data-status="${heading}">
<h1>${heading}</h1>
${count === 0 ? emptyInbox : html`<ul class="list">\n${view.waiting.map((item) => renderPendingItem(item, view.now))}</ul>`}
${view.decided.length === 0 ? "" : html`<h2>Earlier</h2>\n<ul class="list past">\n${view.decided.map(renderDecidedItem)}</ul>`}
</div>`,
  });
}

const emptyInbox = html`<p class="lead">When an agent needs your approval, the request appears here and you are notified.</p>`;

function renderPendingItem(item: InboxView["waiting"][number], now: number): Html {
  return html`<li>
<a href="/requests/${encodeURIComponent(item.requestId)}" id="request-${item.requestId}">
<span class="asks">${renderMonogram(item.agentName)}<bdi class="agent">${item.agentName}</bdi><span class="unseen">asks:</span></span>
${renderActionSummary(item.parts)}
</a>
<ul class="facts">
<li><span>${renderCountdown(item.decideBy, now)} left</span></li>
<li class="${item.reversibility}">${renderReversibility(item.reversibility)}</li>
<li><code title="Check code">${item.shortDigest}</code></li>
</ul>
</li>
`;
}

function renderDecidedItem(item: InboxView["decided"][number]): Html {
  const suffix = item.state === "cancelled" && item.verdict === "approve" ? " after it was approved" : "";
  return html`<li>
<a href="/requests/${encodeURIComponent(item.requestId)}" id="request-${item.requestId}">
${renderActionSummary(item.parts)}
</a>
<p class="facts"><strong>${outcomes[item.state].short}${suffix}</strong> <bdi>${item.agentName}</bdi> ${renderInstant(item.at)}</p>
</li>
`;
}
