/** Endpoints of the card: show it to its candidates (GET), decide it (POST), and pause its agent (POST). */
import { inspectText, shortDigest } from "@countersign/protocol";
import { toApproverActor } from "../../../audit/actor.ts";
import type { Settings } from "../../../config/sections.ts";
import { type Assertion, parsePasskeyResponse } from "../../../crypto/passkey.ts";
import type { Approver } from "../../../domain/people/approver.ts";
import { hasFreshPasskey } from "../../../domain/policy/level.ts";
import { type ApprovalRequest, getRequestState } from "../../../domain/request/request.ts";
import { type CardView, renderCardPage } from "../../../page/card.ts";
import { pauseAgent } from "../../../usecase/client/client-lifecycle.ts";
import { getRequiredLevel, isDenied } from "../../../usecase/request/authorization.ts";
import { checkIntegrity } from "../../../usecase/request/check-integrity.ts";
import {
  beginDecision,
  type DecideDeps,
  type DecideRefusal,
  decide,
} from "../../../usecase/request/decide.ts";
import type { Form } from "../../oauth/form.ts";
import type { FormPageHandler, SessionFormHandler, SessionPageHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { Viewer } from "../session.ts";

export type CardDeps = DecideDeps & { readonly settings: Pick<Settings, "channels"> };

export function createCardHandlers(deps: CardDeps): {
  readonly show: SessionPageHandler;
  readonly decide: SessionFormHandler;
  readonly pauseAgent: SessionFormHandler;
  readonly showAgain: FormPageHandler;
} {
  return {
    show: (viewer, id, request) => showCard(deps, viewer, id, request),
    decide: (viewer, form, id) => decideOnCard(deps, viewer, form, id),
    pauseAgent: (viewer, _, id) => pauseAgentFromCard(deps, viewer, id),
    showAgain: (viewer, form, id, problem) =>
      showProblem(deps, viewer, id, findChannel(deps, form.get("via")), problem),
  };
}

const requestNotFound: PageResult = { message: "not_found", status: 404 };

/** The problem shown above the buttons after a refused decision. Undefined: another page is shown. */
const refusalTexts: Record<DecideRefusal, string | undefined> = {
  not_yours: undefined,
  signed_out: undefined,
  pending: undefined,
  approved: "This request was already approved. Your decision was not recorded.",
  redeemed: "This request was already approved. Your decision was not recorded.",
  denied: "This request was already denied. Your decision was not recorded.",
  cancelled: "An operator has withdrawn this request. Your decision was not recorded.",
  expired: "This request has expired. Your decision was not recorded.",
  lapsed: "This request has expired. Your decision was not recorded.",
  closed: "This request has expired. Your decision was not recorded.",
  other_card: "This page was out of date. Please read the request again. Your decision was not recorded.",
  no_authority: "The rules have changed, and you can no longer approve this request. You can still deny it.",
  sign_in_again: "Approving this needs your passkey again. Your decision was not recorded.",
  passkey_needed: "Approving this needs your passkey. Your decision was not recorded.",
  bad_passkey: "The passkey could not be verified. Your decision was not recorded. Please try again.",
  action_denied:
    "The same action was denied in another request, so this one cannot be approved. You can still deny it.",
  unchecked:
    "The permission check is not available right now. Your decision was not recorded. Please try again in a moment.",
  paused: "This agent is paused, so its requests cannot be approved. You can still deny this one.",
};

const invalidReasonText =
  "The reason is longer than 300 characters, or it contains characters that cannot be shown, such as some emoji. Your decision was not recorded. Please deny again with a different reason, or with none.";

async function showCard(deps: CardDeps, viewer: Viewer, id: string, request: Request): Promise<PageResult> {
  const found = await deps.store.read("request", id);
  if (!found?.record.candidates.includes(viewer.approver.id)) return requestNotFound;
  const via = findChannel(deps, new URL(request.url).searchParams.get("via"));
  return { page: renderCardPage(await buildCardView(deps, viewer, found.record, via)) };
}

/** Returns the channel named by `via` if it is configured. */
function findChannel({ settings }: CardDeps, via: string | null | undefined): string | undefined {
  return typeof via === "string" && Object.hasOwn(settings.channels, via) ? via : undefined;
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

/** Shows the card again, with the reason why the form was refused. */
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
  const { store } = deps;
  await checkIntegrity(store, request, deps.policy.current());
  const now = store.now();
  const state = getRequestState(request, now);
  const level = getRequiredLevel(deps.policy.current(), request) ?? request.level;
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
    needsSignIn: level === "passkey" && !hasFreshPasskey(viewer.session, now),
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

/** Returns why an approval would be refused, so that the approver knows before using a passkey. */
async function blockedReason(
  { store }: CardDeps,
  { agent, parts }: ApprovalRequest,
): Promise<string | undefined> {
  const found = await store.read("agent", agent);
  if (found?.record.paused) return refusalTexts.paused;
  return (await isDenied(store, parts)) ? refusalTexts.action_denied : undefined;
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

/** Returns the reason for a denial in NFC; undefined if empty, null if it is too long or contains invisible characters. */
function readReason(text: string | undefined): string | undefined | null {
  const reason = text?.normalize("NFC").replace(/\s+/g, " ").trim();
  if (!reason) return undefined;
  return inspectText(reason, { maxCodePoints: 300 }) === undefined ? reason : null;
}
