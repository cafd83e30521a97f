/** One request on a page: while it waits, the card with its two buttons; afterwards, what became of it. */
import type { AuthenticationLevel, RequestState } from "@countersign/protocol";
import { html } from "hono/html";
import {
  type Card,
  type CardPart,
  type CardRow,
  type MultiPartCard,
  partsOf,
  togetherText,
} from "../domain/action/card.ts";
import { checkIcon, clockIcon, codeIcon, crossIcon, fingerprintIcon } from "./icon.ts";
import { type Html, page, problemLine } from "./layout.ts";
import { countdown, instant, isExpiringSoon, ordinal, reversibilityLine, rows, sentence } from "./phrase.ts";

/** A passkey ceremony that signs the decision: what the device is asked, and the token that names it in the form. */
export type DecisionCeremony = {
  /** base64url; binds request, digest, card, verdict, approver and nonce. */
  readonly challenge: string;
  readonly rpId: string;
  readonly allowCredentials: readonly { readonly id: string; readonly transports: readonly string[] }[];
  readonly token: string;
};

export type CardView = {
  readonly card: Card;
  /** `hashJson` of the card: sent back with the decision, so that what was seen is what is decided. */
  readonly cardHash: string;
  readonly requestId: string;
  readonly state: RequestState;
  readonly shortDigest: string;
  readonly createdAt: number;
  readonly decideBy: number;
  readonly expiresAt: number;
  readonly now: number;
  readonly csrf: string;
  /** The channel whose link led here: sent back with the decision, so that it can be counted. */
  readonly via?: string | undefined;
  readonly level: AuthenticationLevel;
  /** The level asks for a passkey and this session's is too long ago. A denial is possible all the same. */
  readonly needsSignIn: boolean;
  /** Present at level `passkey-signed` while the request waits. */
  readonly ceremony?: DecisionCeremony | undefined;
  readonly decision?:
    | {
        readonly verdict: "approve" | "deny";
        readonly approverName: string;
        readonly at: number;
        readonly reason?: string | undefined;
        /** Whether the reader is the one who decided. */
        readonly mine: boolean;
      }
    | undefined;
  readonly approverName: string;
  /** Why the last attempt to decide changed nothing. */
  readonly problem?: string | undefined;
};

/**
 * The card. While it can be decided it holds two forms, `deny` and `approve`, both
 * `POST /requests/<id>/decision` with `csrf`, `card`, `verdict`; `via` where there is one; `reason` with a denial; `ceremony` and `assertion` with
 * an approval at level `passkey-signed`. The quiet third form is `POST /requests/<id>/pause-agent` with `csrf`.
 */
export function cardPage(view: CardView): Html {
  return view.state === "pending" ? waitingPage(view) : decidedPage(view);
}

function waitingPage(view: CardView): Html {
  const { card } = view;
  const open = view.now < view.decideBy;
  return page({
    title: `${card.agent.name} asks`,
    approverName: view.approverName,
    scripts: view.ceremony && open ? ["countdown.js", "passkey.js"] : ["countdown.js"],
    main: html`<article class="sheet">
<p class="asks">${monogram(card.agent.name)}<span><bdi class="agent">${card.agent.name}</bdi> asks for your approval</span></p>
${what(card)}
<section class="decision" aria-label="Your decision" data-decision>
<ul class="facts">
<li class="${card.reversibility}">${reversibilityLine(card.reversibility)}</li>
${open ? deadline(view) : ""}
<li>${codeIcon}<span title="The first part of the action's digest. The same code is in every message about this request, in the log, and in what the agent is given.">Check code <code>${view.shortDigest}</code></span></li>
</ul>
${open ? verdicts(view) : html`<p class="closed" role="status">${closedWords}</p>`}
</section>
<div class="more">
${finePrint(view)}
${pauseAgent(view)}
</div>
</article>`,
  });
}

/** What would be done: the sentence and its rows, or each of several under the word that they are answered as one. */
function what(card: Card): Html {
  if (card.v === 1)
    return html`<h1 id="sentence" class="${sentenceClass(card)}">${sentence(card.sentence)}</h1>
${rows(card.rows)}
${words(card.agent, card.words.message, card.words.rows)}`;
  return html`<h1 id="sentence">${togetherText(card.parts)}</h1>
<p class="lead">If you approve, <bdi>${card.agent.name}</bdi> may do all of them, once.</p>
${list(card)}`;
}

/** Several parts, numbered, each with its rows and what the agent says about it. */
function list({ agent, parts, words: said }: MultiPartCard): Html {
  const shown = parts.map(
    (part, at) => html`<li>
<h2 id="part-${at + 1}" class="${sentenceClass(part)}">${ordinal(at, parts)}${sentence(part.sentence)}</h2>
${rows(part.rows)}
${words(agent, undefined, part.words.rows)}
</li>
`,
  );
  return html`<ol class="parts">\n${shown}</ol>
${words(agent, said.message, [])}`;
}

/** What the buttons' descriptions are read from. */
function described(card: Card): string {
  return ["sentence", ...(card.v === 2 ? card.parts.map((_, at) => `part-${at + 1}`) : [])].join(" ");
}

/** A verdict on all of it, where there is more than one. */
function all(card: Card): string {
  const { length } = partsOf(card);
  if (length === 1) return "";
  return length === 2 ? " both" : ` all ${length}`;
}

const closedWords = "Too late to answer. Unless somebody else answered, it is cancelled and will not happen.";

function deadline(view: CardView): Html {
  const { decideBy, createdAt, now } = view;
  return html`<li data-until-closed>${clockIcon}<span>Answer within ${countdown(decideBy, now)} or it is cancelled
<small class="unscripted">open until ${isExpiringSoon(decideBy, now)}</small></span>
<progress max="${decideBy - createdAt}" value="${decideBy - now}" aria-hidden="true"></progress></li>`;
}

function verdicts(view: CardView): Html {
  const decide = `${requestPath(view)}/decision`;
  const via =
    view.via === undefined
      ? ""
      : html`
<input type="hidden" name="via" value="${view.via}">`;
  const fields = html`<input type="hidden" name="csrf" value="${view.csrf}">
<input type="hidden" name="card" value="${view.cardHash}">${via}`;
  return html`<p class="unseen closed" role="status" data-closed="${closedWords}"></p>
${problemLine(view.problem)}
<fieldset>
<legend class="unseen">Your decision</legend>
<details class="reason"><summary>Add a reason, if you deny</summary>
<label for="reason">Reason for denying <small>optional; ${view.card.agent.name} will see it</small></label>
<textarea id="reason" name="reason" form="deny" rows="2" maxlength="300"></textarea>
</details>
<div class="verdicts">
<form id="deny" method="post" action="${decide}" autocomplete="off">
${fields}
<input type="hidden" name="verdict" value="deny">
<button class="verdict" aria-describedby="${described(view.card)}">${crossIcon}Deny${all(view.card)}</button>
</form>
${request(view, decide, fields)}
</div>
${hint(view)}
</fieldset>`;
}

/** Approving: at once, with the passkey's signature, or after signing in again. */
function request(view: CardView, decide: string, fields: Html): Html {
  if (mustSignIn(view)) {
    const next = encodeURIComponent(requestPath(view) + (view.via === undefined ? "" : `?via=${view.via}`));
    return html`<p><a class="verdict" href="/sign-in?next=${next}">${fingerprintIcon}Sign in to approve</a></p>`;
  }
  const { ceremony } = view;
  const passkey = ceremony
    ? html` data-passkey="get" data-options="${JSON.stringify(requestOptions(ceremony, view.decideBy - view.now))}"`
    : "";
  const signature = ceremony
    ? html`<input type="hidden" name="ceremony" value="${ceremony.token}">
<input type="hidden" name="assertion" value="">`
    : "";
  return html`<form id="approve" method="post" action="${decide}" autocomplete="off"${passkey}>
${fields}
<input type="hidden" name="verdict" value="approve">
${signature}
<button class="verdict" aria-describedby="${described(view.card)}${ceremony ? " hint" : ""}"${ceremony ? html` disabled` : ""}>${checkIcon}Approve${all(view.card)}</button>
</form>`;
}

function hint(view: CardView): Html {
  if (mustSignIn(view))
    return html`<p class="hint">Approving this needs your passkey again. You can deny without it.</p>`;
  if (!view.ceremony) return html``;
  return html`<p class="hint" id="hint" data-ready="Approving asks for your passkey. Denying does not.">Approving needs your passkey, and that needs JavaScript. You can deny without it.</p>`;
}

function mustSignIn(view: CardView): boolean {
  return view.needsSignIn || (view.level === "passkey-signed" && view.ceremony === undefined);
}

/** What the browser is asked (WebAuthn §5.5), good for no longer than the decision. */
function requestOptions(ceremony: DecisionCeremony, timeout: number): PublicKeyCredentialRequestOptionsJSON {
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

/** What the agent said of its own accord: quoted, marked as unchecked, and never in the server's voice. */
function words(agent: Card["agent"], message: string | undefined, said: readonly CardRow[]): Html {
  if (message === undefined && said.length === 0) return html``;
  return html`<figure class="words">
<figcaption><bdi class="agent">${agent.name}</bdi> says, in its own words <em>— not checked</em></figcaption>
${message === undefined ? "" : html`<blockquote><bdi class="exact">${message}</bdi></blockquote>`}
${rows(said)}
</figure>`;
}

function finePrint(view: CardView): Html {
  const { card } = view;
  const types = [...new Set(partsOf(card).map(({ type }) => type))];
  return html`<details class="fine"><summary>Fine print</summary>
<dl class="rows">
<div><dt>Action type</dt><dd>${types.map((type, at) => html`${at > 0 ? ", " : ""}<code>${type}</code>`)}</dd></div>
<div><dt>Carried out by</dt><dd><code>${card.audience}</code></dd></div>
<div><dt>Asked</dt><dd>${instant(view.createdAt)}</dd></div>
<div><dt>Open until</dt><dd>${isExpiringSoon(view.decideBy, view.now)}</dd></div>
<div><dt>Agent</dt><dd><code>${card.agent.id}</code></dd></div>
<div><dt>Request</dt><dd><code>${view.requestId}</code></dd></div>
<div><dt>Digest</dt><dd><code>${card.digest}</code></dd></div>
</dl>
</details>`;
}

function pauseAgent(view: CardView): Html {
  const name = html`<bdi>${view.card.agent.name}</bdi>`;
  return html`<details class="fine"><summary><span>Something is wrong: pause ${name}</span></summary>
<form method="post" action="${requestPath(view)}/pause-agent">
<p>Everything ${name} asks for, and every approval that it has not picked up yet, is refused until an operator resumes it.</p>
<input type="hidden" name="csrf" value="${view.csrf}">
<button class="quiet">Pause this agent</button>
</form>
</details>`;
}

function decidedPage(view: CardView): Html {
  const { card, decision } = view;
  const outcome = outcomes[view.state];
  return page({
    title: `${outcome.short} · ${card.agent.name}`,
    approverName: view.approverName,
    scripts: ["countdown.js"],
    main: html`<article class="sheet">
<h1 class="outcome">${outcome.done ? checkIcon : crossIcon}${outcome.title}</h1>
<p class="lead">${outcome.words(card.agent.name)}</p>
${problemLine(view.problem)}
${decision ? decided(decision) : ""}
<p class="asks">${monogram(card.agent.name)}<span><bdi class="agent">${card.agent.name}</bdi> asked</span></p>
${past(card)}
<ul class="facts decision">
<li class="${outcome.done ? card.reversibility : ""}">${reversibilityLine(card.reversibility)}</li>
<li>${codeIcon}<span>Check code <code>${view.shortDigest}</code></span></li>
</ul>
<div class="more">
${finePrint(view)}
${pauseAgent(view)}
</div>
<p class="onward"><a href="/inbox">Back to the inbox</a></p>
</article>`,
  });
}

/** What was asked, once it is over. */
function past(card: Card): Html {
  if (card.v === 1)
    return html`<p class="${sentenceClass(card)} past">${sentence(card.sentence)}</p>
${rows(card.rows)}
${words(card.agent, card.words.message, card.words.rows)}`;
  return html`<p class="sentence past">${togetherText(card.parts)}</p>
<div class="past">${list(card)}</div>`;
}

function decided(decision: NonNullable<CardView["decision"]>): Html {
  const who = decision.mine ? "You" : html`<bdi>${decision.approverName}</bdi>`;
  const reason = decision.reason
    ? html`<div><dt>Reason</dt><dd><bdi class="exact">${decision.reason}</bdi></dd></div>`
    : "";
  return html`<dl class="rows">
<div><dt>${decision.verdict === "approve" ? "Approved by" : "Denied by"}</dt><dd>${who}</dd></div>
<div><dt>When</dt><dd>${instant(decision.at)}</dd></div>
${reason}
</dl>`;
}

type Outcome = {
  /** In a list or a tab. */
  readonly short: string;
  readonly title: string;
  /** Whether it was, or may be, done. */
  readonly done: boolean;
  readonly words: (agent: string) => string;
};

/** Each state in its own words: no two of them mean the same, and none of them is said of another. */
export const outcomes = {
  pending: {
    short: "Waiting",
    title: "Waiting for an answer",
    done: false,
    words: () => "Nobody has decided yet.",
  },
  approved: {
    short: "Approved",
    title: "Approved",
    done: true,
    words: (agent) => `${agent} may now do this once. It has not picked the approval up yet.`,
  },
  redeemed: {
    short: "Approved and picked up",
    title: "Approved",
    done: true,
    words: (agent) => `${agent} has picked the approval up. It is good for this one action, once.`,
  },
  denied: {
    short: "Denied",
    title: "Denied",
    done: false,
    words: (agent) => `It will not happen. ${agent} cannot ask for it again until an operator re-opens it.`,
  },
  expired: {
    short: "No answer in time",
    title: "No answer in time",
    done: false,
    words: () => "It will not happen. Silence is never a yes.",
  },
  lapsed: {
    short: "Approved, never picked up",
    title: "Approved, but never picked up",
    done: false,
    words: (agent) => `${agent} did not come for the approval in time, so it is void. It will not happen.`,
  },
  cancelled: {
    short: "Withdrawn",
    title: "Withdrawn by an operator",
    done: false,
    words: () => "It will not happen, whatever was decided before.",
  },
} satisfies Record<RequestState, Outcome>;

function requestPath(view: CardView): string {
  return `/requests/${encodeURIComponent(view.requestId)}`;
}

function sentenceClass({ sentence }: CardPart): string {
  const length = sentence.reduce(
    (sum, piece) => sum + ("value" in piece ? piece.value : piece.text).length,
    0,
  );
  return length > 140 ? "sentence long" : "sentence";
}

/** The agent's first letter in a box: a mark to recognise it by, and decoration for everyone else. */
export function monogram(name: string): Html {
  return html`<span class="monogram" aria-hidden="true">${[...name][0] ?? ""}</span>`;
}
