/** The inbox: what waits for this approver, and what became of the rest. Deciding happens on the card, never here. */
import type { RequestState, Reversibility } from "@countersign/protocol";
import { html } from "hono/html";
import type { CardPart } from "../domain/action/card.ts";
import { monogram, outcomes } from "./card.ts";
import { type Html, page } from "./layout.ts";
import { countdown, instant, reversibilityLine, summary } from "./phrase.ts";

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

/** The inbox. `inbox.js` replaces the element `inbox` when `/inbox/events` sends an event `inbox`. */
export function inboxPage(view: InboxView): Html {
  const count = view.waiting.length;
  const some = count === 1 ? "One request waits for you" : `${count} requests wait for you`;
  const heading = count === 0 ? "Nothing waits for you" : some;
  return page({
    title: count === 0 ? "Inbox" : `(${count}) Inbox`,
    approverName: view.approverName,
    here: "inbox",
    scripts: ["countdown.js", "inbox.js"],
    main: html`<p class="unseen" id="inbox-status" role="status"></p>
<div class="sheet" id="inbox" data-status="${heading}">
<h1>${heading}</h1>
${count === 0 ? empty : html`<ul class="list">\n${view.waiting.map((item) => waiting(item, view.now))}</ul>`}
${view.decided.length === 0 ? "" : html`<h2>Earlier</h2>\n<ul class="list past">\n${view.decided.map(decided)}</ul>`}
</div>`,
  });
}

const empty = html`<p class="lead">When an agent needs your approval, it appears here and you are told.</p>`;

function waiting(item: InboxView["waiting"][number], now: number): Html {
  return html`<li>
<a href="/requests/${encodeURIComponent(item.requestId)}" id="request-${item.requestId}">
<span class="asks">${monogram(item.agentName)}<bdi class="agent">${item.agentName}</bdi><span class="unseen">asks:</span></span>
${summary(item.parts)}
</a>
<ul class="facts">
<li><span>${countdown(item.decideBy, now)} left</span></li>
<li class="${item.reversibility}">${reversibilityLine(item.reversibility)}</li>
<li><code title="Check code">${item.shortDigest}</code></li>
</ul>
</li>
`;
}

function decided(item: InboxView["decided"][number]): Html {
  const withdrawn = item.state === "cancelled" && item.verdict === "approve" ? " after it was approved" : "";
  return html`<li>
<a href="/requests/${encodeURIComponent(item.requestId)}" id="request-${item.requestId}">
${summary(item.parts)}
</a>
<p class="facts"><strong>${outcomes[item.state].short}${withdrawn}</strong> <bdi>${item.agentName}</bdi> ${instant(item.at)}</p>
</li>
`;
}
