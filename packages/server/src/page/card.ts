/** Renders the page of one request: while it is pending, the card with its two buttons; afterwards, its outcome. */
import type { AuthenticationLevel, RequestState } from "@countersign/protocol";
import { html } from "hono/html";
import {
  type Card,
  type CardPart,
  type CardRow,
  formatPartCount,
  getCardParts,
  type MultiPartCard,
} from "../domain/action/card.ts";
import { checkIcon, clockIcon, codeIcon, crossIcon, fingerprintIcon } from "./icon.ts";
import { type Html, renderPage, renderProblemLine } from "./layout.ts";
import {
  renderCountdown,
  renderInstant,
  renderOrdinal,
  renderReversibility,
  renderRows,
  renderSentence,
  renderTimeOfDay,
} from "./phrase.ts";

/** The WebAuthn assertion that signs an approval: the challenge, and the token that identifies the ceremony in the form. */
export type DecisionCeremony = {
  /** base64url; binds request, digest, card, verdict, approver and nonce. */
  readonly challenge: string;
  readonly rpId: string;
  readonly allowCredentials: readonly { readonly id: string; readonly transports: readonly string[] }[];
  readonly token: string;
};

export type CardView = {
  readonly card: Card;
  /** `hashJson` of the card. Sent back with the decision, so that an approver cannot decide a card they have not seen. */
  readonly cardHash: string;
  readonly requestId: string;
  readonly state: RequestState;
  readonly shortDigest: string;
  readonly createdAt: number;
  readonly decideBy: number;
  readonly expiresAt: number;
  readonly now: number;
  readonly csrf: string;
  /** The channel whose link opened this page. Sent back with the decision, for metrics. */
  readonly via?: string | undefined;
  readonly level: AuthenticationLevel;
  /** True if the level requires a passkey and the session's last assertion is too old. A denial does not need one. */
  readonly needsSignIn: boolean;
  /** Present at level `passkey-signed` while the request is pending. */
  readonly ceremony?: DecisionCeremony | undefined;
  readonly decision?:
    | {
        readonly verdict: "approve" | "deny";
        readonly approverName: string;
        readonly at: number;
        readonly reason?: string | undefined;
        /** True if the signed-in approver decided. */
        readonly mine: boolean;
      }
    | undefined;
  readonly approverName: string;
  /** Why the last decision was refused, or why an approval would be. */
  readonly problem?: string | undefined;
};

/**
 * Renders the card. While it can be decided it has two forms, `deny` and `approve`: `POST /requests/<id>/decision` with
 * `csrf`, `card`, `verdict`; `via` if known; `reason` with a denial; `ceremony` and `assertion` with an approval at level
 * `passkey-signed`. A third form is `POST /requests/<id>/pause-agent` with `csrf`.
 */
export function renderCardPage(view: CardView): Html {
  return view.state === "pending" ? renderPendingPage(view) : renderDecidedPage(view);
}

function renderPendingPage(view: CardView): Html {
  const { card } = view;
  const open = view.now < view.decideBy;
  return renderPage({
    title: `${card.agent.name} asks for approval`,
    approverName: view.approverName,
    scripts: view.ceremony && open ? ["countdown.js", "passkey.js"] : ["countdown.js"],
    main: html`<article class="sheet">
<p class="asks">${renderMonogram(card.agent.name)}<span><bdi class="agent">${card.agent.name}</bdi> asks for your approval</span></p>
${renderAction(card)}
<section class="decision" aria-label="Your decision" data-decision>
<ul class="facts">
<li class="${card.reversibility}">${renderReversibility(card.reversibility)}</li>
${open ? renderDeadline(view) : ""}
<li>${codeIcon}<span title="The first part of the action's digest. Every message about this request shows the same code, and so does the audit log.">Check code <code>${view.shortDigest}</code></span></li>
</ul>
${open ? renderVerdictForms(view) : html`<p class="closed" role="status">${closedText}</p>`}
</section>
<div class="more">
${renderFinePrint(view)}
${renderPauseForm(view)}
</div>
</article>`,
  });
}

/** Renders the action: its sentence and rows, or several numbered actions that are decided together. */
function renderAction(card: Card): Html {
  if (card.v === 1)
    return html`<h1 id="sentence" class="${chooseSentenceClass(card)}">${renderSentence(card.sentence)}</h1>
${renderRows(card.rows)}
${renderAgentWords(card.agent, card.words.message, card.words.rows)}`;
  return html`<h1 id="sentence">${formatPartCount(card.parts)}</h1>
<p class="lead">If you approve, <bdi>${card.agent.name}</bdi> may do all of them once.</p>
${renderParts(card)}`;
}

/** Renders numbered parts, each with its rows and the agent's own words. */
function renderParts({ agent, parts, words }: MultiPartCard): Html {
  const shown = parts.map(
    (part, at) => html`<li>
<h2 id="part-${at + 1}" class="${chooseSentenceClass(part)}">${renderOrdinal(at, parts)}${renderSentence(part.sentence)}</h2>
${renderRows(part.rows)}
${renderAgentWords(agent, undefined, part.words.rows)}
</li>
`,
  );
  return html`<ol class="parts">\n${shown}</ol>
${renderAgentWords(agent, words.message, [])}`;
}

/** Returns the ids for `aria-describedby` of the two buttons. */
function listDescriptionIds(card: Card): string {
  return ["sentence", ...(card.v === 2 ? card.parts.map((_, at) => `part-${at + 1}`) : [])].join(" ");
}

/** Returns the suffix of the button labels: "", " both" or " all 3". */
function formatVerdictScope(card: Card): string {
  const { length } = getCardParts(card);
  if (length === 1) return "";
  return length === 2 ? " both" : ` all ${length}`;
}

const closedText = "Too late to decide. Unless someone else has approved this request, it has expired.";

function renderDeadline(view: CardView): Html {
  const { decideBy, createdAt, now } = view;
  return html`<li data-until-closed>${clockIcon}<span>Decide within ${renderCountdown(decideBy, now)} or it expires
<small class="unscripted">open until ${renderTimeOfDay(decideBy, now)}</small></span>
<progress max="${decideBy - createdAt}" value="${decideBy - now}" aria-hidden="true"></progress></li>`;
}

function renderVerdictForms(view: CardView): Html {
  const decide = `${toRequestPath(view)}/decision`;
  const via =
    view.via === undefined
      ? ""
      : html`
<input type="hidden" name="via" value="${view.via}">`;
  const fields = html`<input type="hidden" name="csrf" value="${view.csrf}">
<input type="hidden" name="card" value="${view.cardHash}">${via}`;
  return html`<p class="unseen closed" role="status" data-closed="${closedText}"></p>
${renderProblemLine(view.problem)}
<fieldset>
<legend class="unseen">Your decision</legend>
<details class="reason"><summary>Add a reason for denying</summary>
<label for="reason">Reason for denying <small>optional; <bdi>${view.card.agent.name}</bdi> will see it</small></label>
<textarea id="reason" name="reason" form="deny" rows="2" maxlength="300"></textarea>
</details>
<div class="verdicts">
<form id="deny" method="post" action="${decide}" autocomplete="off">
${fields}
<input type="hidden" name="verdict" value="deny">
<button class="verdict" aria-describedby="${listDescriptionIds(view.card)}">${crossIcon}Deny${formatVerdictScope(view.card)}</button>
</form>
${renderApproveForm(view, decide, fields)}
</div>
${renderHint(view)}
</fieldset>`;
}

/** Renders the approve form: immediate, signed by a passkey, or a link to sign in again. */
function renderApproveForm(view: CardView, decide: string, fields: Html): Html {
  if (mustSignIn(view)) {
    const next = encodeURIComponent(toRequestPath(view) + (view.via === undefined ? "" : `?via=${view.via}`));
    return html`<p><a class="verdict" href="/sign-in?next=${next}">${fingerprintIcon}Sign in to approve</a></p>`;
  }
  const { ceremony } = view;
  const passkey = ceremony
    ? html` data-passkey="get" data-options="${JSON.stringify(toRequestOptions(ceremony, view.decideBy - view.now))}"`
    : "";
  const signature = ceremony
    ? html`<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="assertion" value="">`
    : "";
  return html`<form id="approve" method="post" action="${decide}" autocomplete="off"${passkey}>
${fields}
<input type="hidden" name="verdict" value="approve">
${signature}
<button class="verdict" aria-describedby="${listDescriptionIds(view.card)}${ceremony ? " hint" : ""}"${ceremony ? html` disabled` : ""}>${checkIcon}Approve${formatVerdictScope(view.card)}</button>
</form>`;
}

function renderHint(view: CardView): Html {
  if (mustSignIn(view))
    return html`<p class="hint">Approving this needs your passkey again. You can deny without it.</p>`;
  if (!view.ceremony) return html``;
  return html`<p class="hint" id="hint" data-ready="Approving needs your passkey. Denying does not.">Approving needs your passkey, and that needs JavaScript. You can deny without it.</p>`;
}

function mustSignIn(view: CardView): boolean {
  return view.needsSignIn || (view.level === "passkey-signed" && view.ceremony === undefined);
}

/** Returns the options of `navigator.credentials.get` (WebAuthn §5.5); `timeout` is the time left to decide, in milliseconds. */
function toRequestOptions(
  ceremony: DecisionCeremony,
  timeout: number,
): PublicKeyCredentialRequestOptionsJSON {
  return {
    challenge: ceremony.challenge,
    rpId: ceremony.rpId,
    allowCredentials: ceremony.allowCredentials.map(({ id, transports }) => ({
      type: "public-key",
      id,
      transports: [...transports],
    })),
    userVerification: "required",
    timeout,
  };
}

/** Renders the agent's own words: quoted, marked as not checked, separate from the server's text. */
function renderAgentWords(
  agent: Card["agent"],
  message: string | undefined,
  agentRows: readonly CardRow[],
): Html {
  if (message === undefined && agentRows.length === 0) return html``;
  return html`<figure class="words">
<figcaption><bdi class="agent">${agent.name}</bdi> says, in its own words <em>— not checked</em></figcaption>
${message === undefined ? "" : html`<blockquote><bdi class="exact">${message}</bdi></blockquote>`}
${renderRows(agentRows)}
</figure>`;
}

function renderFinePrint(view: CardView): Html {
  const { card } = view;
  const types = [...new Set(getCardParts(card).map(({ type }) => type))];
  return html`<details class="fine"><summary>Details</summary>
<dl class="rows">
<div><dt>Action type</dt><dd>${types.map((type, at) => html`${at > 0 ? ", " : ""}<code>${type}</code>`)}</dd></div>
<div><dt>Carried out by</dt><dd><code>${card.audience}</code></dd></div>
<div><dt>Requested</dt><dd>${renderInstant(view.createdAt)}</dd></div>
<div><dt>Expires</dt><dd>${renderTimeOfDay(view.decideBy, view.now)}</dd></div>
<div><dt>Agent ID</dt><dd><code>${card.agent.id}</code></dd></div>
<div><dt>Request ID</dt><dd><code>${view.requestId}</code></dd></div>
<div><dt>Digest</dt><dd><code>${card.digest}</code></dd></div>
</dl>
</details>`;
}

function renderPauseForm(view: CardView): Html {
  const name = html`<bdi>${view.card.agent.name}</bdi>`;
  return html`<details class="fine"><summary><span>Something wrong? Pause ${name}</span></summary>
<form method="post" action="${toRequestPath(view)}/pause-agent">
<p>Until an operator resumes ${name}, its requests are refused, and so are approvals that it has not collected yet.</p>
<input type="hidden" name="csrf" value="${view.csrf}">
<button class="quiet">Pause this agent</button>
</form>
</details>`;
}

function renderDecidedPage(view: CardView): Html {
  const { card, decision } = view;
  const outcome = outcomes[view.state];
  return renderPage({
    title: `${outcome.short} · ${card.agent.name}`,
    approverName: view.approverName,
    scripts: ["countdown.js"],
    main: html`<article class="sheet">
<h1 class="outcome">${outcome.done ? checkIcon : crossIcon}${outcome.title}</h1>
<p class="lead">${outcome.words(card.agent.name)}</p>
${renderProblemLine(view.problem)}
${decision ? renderDecision(decision) : ""}
<p class="asks">${renderMonogram(card.agent.name)}<span><bdi class="agent">${card.agent.name}</bdi> asked</span></p>
${renderPastAction(card)}
<ul class="facts decision">
<li class="${outcome.done ? card.reversibility : ""}">${renderReversibility(card.reversibility)}</li>
<li>${codeIcon}<span>Check code <code>${view.shortDigest}</code></span></li>
</ul>
<div class="more">
${renderFinePrint(view)}
${renderPauseForm(view)}
</div>
<p class="onward"><a href="/inbox">Back to the inbox</a></p>
</article>`,
  });
}

/** Renders the action of a request that is no longer pending. */
function renderPastAction(card: Card): Html {
  if (card.v === 1)
    return html`<p class="${chooseSentenceClass(card)} past">${renderSentence(card.sentence)}</p>
${renderRows(card.rows)}
${renderAgentWords(card.agent, card.words.message, card.words.rows)}`;
  return html`<p class="sentence past">${formatPartCount(card.parts)}</p>
<div class="past">${renderParts(card)}</div>`;
}

function renderDecision(decision: NonNullable<CardView["decision"]>): Html {
  const who = decision.mine ? "You" : html`<bdi>${decision.approverName}</bdi>`;
  const reason = decision.reason
    ? html`<div><dt>Reason</dt><dd><bdi class="exact">${decision.reason}</bdi></dd></div>`
    : "";
  return html`<dl class="rows">
<div><dt>${decision.verdict === "approve" ? "Approved by" : "Denied by"}</dt><dd>${who}</dd></div>
<div><dt>When</dt><dd>${renderInstant(decision.at)}</dd></div>
${reason}
</dl>`;
}

type Outcome = {
  /** For lists and the page title. */
  readonly short: string;
  readonly title: string;
  /** True if the action was, or may be, carried out. */
  readonly done: boolean;
  readonly words: (agent: string) => string;
};

/** The texts of each state. No two states share a text. */
export const outcomes = {
  pending: {
    short: "Pending",
    title: "Waiting for a decision",
    done: false,
    words: () => "This request has not been decided yet.",
  },
  approved: {
    short: "Approved",
    title: "Approved",
    done: true,
    words: (agent) => `${agent} may now do this once. It has not collected the approval yet.`,
  },
  redeemed: {
    short: "Approved and collected",
    title: "Approved",
    done: true,
    words: (agent) => `${agent} has collected the approval. It is valid for this action only, once.`,
  },
  denied: {
    short: "Denied",
    title: "Denied",
    done: false,
    words: (agent) =>
      `This will not happen. ${agent} cannot ask for it again until an operator releases the denial.`,
  },
  expired: {
    short: "Expired",
    title: "Expired without a decision",
    done: false,
    words: () => "No decision was made in time, so this will not happen.",
  },
  lapsed: {
    short: "Approved, not collected",
    title: "Approved, but not collected in time",
    done: false,
    words: (agent) =>
      `${agent} did not collect the approval in time, so it is no longer valid. This will not happen.`,
  },
  cancelled: {
    short: "Withdrawn",
    title: "Withdrawn by an operator",
    done: false,
    words: () => "This will not happen, even if it was approved before.",
  },
} satisfies Record<RequestState, Outcome>;

function toRequestPath(view: CardView): string {
  return `/requests/${encodeURIComponent(view.requestId)}`;
}

function chooseSentenceClass({ sentence }: CardPart): string {
  const length = sentence.reduce(
    (sum, piece) => sum + ("value" in piece ? piece.value : piece.text).length,
    0,
  );
  return length > 140 ? "sentence long" : "sentence";
}

/** Renders the first letter of the agent's name as a decorative mark. */
export function renderMonogram(name: string): Html {
  return html`<span class="monogram" aria-hidden="true">${[...name][0] ?? ""}</span>`;
}
