/** The card: shown by GET to those who may decide, decided by POST, and the button that stops its agent. */
import { inspectText, shortDigest } from "@countersign/protocol";
import { toApproverActor } from "../../../audit/actor.ts";
import { type Assertion, parsePasskeyResponse } from "../../../crypto/passkey.ts";
import type { Approver } from "../../../domain/people/approver.ts";
import { freshPasskeyMs } from "../../../domain/policy/level.ts";
import { type ApprovalRequest, getRequestState } from "../../../domain/request/request.ts";
import { type CardView, renderCardPage } from "../../../page/card.ts";
import { pauseAgent } from "../../../usecase/client/client-lifecycle.ts";
import { getRequiredLevel, isDenied } from "../../../usecase/request/authorization.ts";
import {
  beginDecision,
  type DecideDeps,
  type DecideRefusal,
  decide,
} from "../../../usecase/request/decide.ts";
import type { Form } from "../../oauth/form.ts";
import type { SessionFormHandler, SessionPageHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { Viewer } from "../session.ts";

export type CardDeps = DecideDeps;

export function createCardHandlers(deps: CardDeps): {
  readonly show: SessionPageHandler;
  readonly decide: SessionFormHandler;
  readonly pauseAgent: SessionFormHandler;
} {
  return {
    show: (viewer, id, request) => showCard(deps, viewer, id, request),
    decide: (viewer, form, id) => decideOnCard(deps, viewer, form, id),
    pauseAgent: (viewer, _, id) => pauseAgentFromCard(deps, viewer, id),
  };
}

const requestNotFound: PageResult = { message: "not_found", status: 404 };

/** What the card says above its buttons when an attempt to decide changed nothing; a page of its own for the rest. */
const refusalTexts: Record<DecideRefusal, string | undefined> = {
  not_yours: undefined,
  signed_out: undefined,
  pending: undefined,
  approved: "Somebody was first: it is already approved. Your answer changed nothing.",
  redeemed: "Somebody was first: it is already approved. Your answer changed nothing.",
  denied: "Somebody was first: it is already denied. Your answer changed nothing.",
  cancelled: "The operator withdrew this request. Your answer changed nothing.",
  expired: "The time to answer is over. Your answer changed nothing.",
  lapsed: "The time to answer is over. Your answer changed nothing.",
  closed: "The time to answer is over. Your answer changed nothing.",
  other_card: "What you answered is not what is asked here. Please read it again. Nothing was decided.",
  no_authority: "The rules have changed, and you may not approve this any more. You can still deny it.",
  sign_in_again: "Approving this needs your passkey again. Nothing was decided.",
  passkey_needed: "Approving this needs your passkey. Nothing was decided.",
  bad_passkey: "The passkey's answer could not be accepted. Nothing was decided; please try again.",
  latched:
    "The same action, under other terms, was denied meanwhile, so it cannot be approved. Nothing was decided.",
  unchecked:
    "Whether this is still permitted could not be checked just now. Nothing was decided: please try again in a moment.",
  paused: "This agent is paused, so nothing it asks for can be approved. You can still deny it.",
};

const invalidReasonText =
  "The reason is longer than 300 characters, or has some that cannot be shown, as some emoji do. Nothing was decided: please deny again with plainer words, or with none.";

async function showCard(deps: CardDeps, viewer: Viewer, id: string, request: Request): Promise<PageResult> {
  const found = await deps.store.read("request", id);
  if (!found?.record.candidates.includes(viewer.approver.id)) return requestNotFound;
  const via = findChannel(deps, new URL(request.url).searchParams.get("via"));
  return { page: renderCardPage(await buildCardView(deps, viewer, found.record, via)) };
}

/** The channel that a link or a form says it came by, if there is such a channel here. */
function findChannel({ config }: CardDeps, via: string | null | undefined): string | undefined {
  return typeof via === "string" && Object.hasOwn(config.channels, via) ? via : undefined;
}

async function decideOnCard(deps: CardDeps, viewer: Viewer, form: Form, id: string): Promise<PageResult> {
  const verdict = form.get("verdict");
  if (verdict !== "approve" && verdict !== "deny") return { message: "form_expired", status: 400 };
  const reason = readReason(form.get("reason"));
  const channel = findChannel(deps, form.get("via"));
  if (reason === null) return await showProblem(deps, viewer, id, channel, invalidReasonText);
  const assertion = parsePasskeyResponse<Assertion>(form.get("assertion"));
  const ceremony = form.get("ceremony");
  const result = await decide(deps, {
    requestId: id,
    approver: viewer.approver,
    session: viewer.session,
    verdict,
    cardHash: form.get("card") ?? "",
    ...(channel !== undefined && { channel }),
    ...(verdict === "deny" && reason !== undefined && { reason }),
    ...(assertion && ceremony !== undefined && { signed: { ceremony, assertion } }),
  });
  if (!("refused" in result)) return { redirect: `/requests/${id}` };
  if (result.refused === "signed_out") return { redirect: "/sign-in" };
  return await showProblem(deps, viewer, id, channel, refusalTexts[result.refused]);
}

/** The card once more, with why the attempt changed nothing. */
async function showProblem(
  deps: CardDeps,
  viewer: Viewer,
  id: string,
  channel: string | undefined,
  problem: string | undefined,
): Promise<PageResult> {
  const found = await deps.store.read("request", id);
  if (!found?.record.candidates.includes(viewer.approver.id)) return requestNotFound;
  const view = await buildCardView(deps, viewer, found.record, channel);
  return { page: renderCardPage({ ...view, problem }), status: 409 };
}

async function pauseAgentFromCard(deps: CardDeps, viewer: Viewer, id: string): Promise<PageResult> {
  const found = await deps.store.read("request", id);
  if (!found?.record.candidates.includes(viewer.approver.id)) return requestNotFound;
  await pauseAgent(deps.store, found.record.agent, true, toApproverActor(viewer.approver.id));
  return { message: "agent_paused", status: 200 };
}

async function buildCardView(
  deps: CardDeps,
  viewer: Viewer,
  request: ApprovalRequest,
  via: string | undefined,
): Promise<CardView> {
  const { store, config } = deps;
  const now = store.now();
  const state = getRequestState(request, now);
  const level = getRequiredLevel(config, request) ?? request.level;
  const isOpen = state === "pending" && now < request.decideBy;
  const decisionCeremony =
    isOpen && level === "passkey-signed" ? await beginDecision(deps, request, viewer.approver) : undefined;
  return {
    card: request.card,
    cardHash: request.cardHash,
    requestId: request.id,
    state,
    shortDigest: shortDigest(request.digest),
    createdAt: request.createdAt,
    decideBy: request.decideBy,
    expiresAt: request.expiresAt,
    now,
    csrf: viewer.csrf,
    via,
    level,
    needsSignIn: level === "passkey" && now >= viewer.session.authenticatedAt + freshPasskeyMs,
    ceremony: decisionCeremony && {
      token: decisionCeremony.ceremony,
      challenge: decisionCeremony.options.challenge,
      rpId: deps.relyingParty.rpId,
      allowCredentials: (decisionCeremony.options.allowCredentials ?? []).map(({ id, transports = [] }) => ({
        id,
        transports,
      })),
    },
    decision: await readDecisionView(deps, viewer.approver, request),
    approverName: viewer.approver.name,
    problem: isOpen ? await blockedReason(deps, request) : undefined,
  };
}

/** Why an approval would be refused, said before anybody reaches for a passkey. */
async function blockedReason(
  { store }: CardDeps,
  { agent, parts }: ApprovalRequest,
): Promise<string | undefined> {
  const found = await store.read("agent", agent);
  if (found?.record.paused) return refusalTexts.paused;
  return (await isDenied(store, parts)) ? refusalTexts.latched : undefined;
}

async function readDecisionView(
  { store }: CardDeps,
  viewingApprover: Approver,
  { status }: ApprovalRequest,
): Promise<CardView["decision"]> {
  if (!("decision" in status)) return undefined;
  const { approver, at, reason } = status.decision;
  const found = await store.read("approver", approver);
  return {
    verdict: status.state === "denied" ? "deny" : "approve",
    approverName: found?.record.name ?? approver,
    at,
    reason,
    mine: approver === viewingApprover.id,
  };
}

/** The reason for a denial, as it will be told: NFC, short, nothing invisible. Null where it cannot be. */
function readReason(text: string | undefined): string | undefined | null {
  const reason = text?.normalize("NFC").replace(/\s+/g, " ").trim();
  if (!reason) return undefined;
  return inspectText(reason, { maxCodePoints: 300 }) === undefined ? reason : null;
}
