/** The card: shown by GET to those who may decide, decided by POST, and the button that stops its agent. */
import { inspectText, shortDigest } from "@countersign/protocol";
import { type Approval, stateAt } from "../../approval/approval.ts";
import type { Approver } from "../../approver/approver.ts";
import { freshPasskeyMs } from "../../approver/level.ts";
import { type Assertion, parseAnswer } from "../../approver/passkey.ts";
import { pauseAgent } from "../../operations/admit.ts";
import { isLatched, levelNow } from "../../operations/authority.ts";
import { type DecideRefusal, decide, openDecision } from "../../operations/decide.ts";
import { type CardView, cardPage } from "../../pages/card.ts";
import type { Form } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import type { PageAnswer } from "../page-answer.ts";
import type { Visitor } from "../session.ts";

const unreadable: PageAnswer = { say: "not_found", status: 404 };

/** What the card says above its buttons when an attempt to decide changed nothing; a page of its own for the rest. */
const problems: Record<DecideRefusal, string | undefined> = {
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

const unreadableReason =
  "The reason is longer than 300 characters, or has some that cannot be shown, as some emoji do. Nothing was decided: please deny again with plainer words, or with none.";

export async function showCard(
  ground: HttpGround,
  visitor: Visitor,
  id: string,
  request: Request,
): Promise<PageAnswer> {
  const held = await ground.store.read("approval", id);
  if (!held?.record.candidates.includes(visitor.approver.id)) return unreadable;
  const via = channelOf(ground, new URL(request.url).searchParams.get("via"));
  return { page: cardPage(await viewOf(ground, visitor, held.record, via)) };
}

/** The channel that a link or a form says it came by, if there is such a channel here. */
function channelOf({ config }: HttpGround, via: string | null | undefined): string | undefined {
  return typeof via === "string" && Object.hasOwn(config.channels, via) ? via : undefined;
}

export async function decideOnCard(
  ground: HttpGround,
  visitor: Visitor,
  form: Form,
  id: string,
): Promise<PageAnswer> {
  const verdict = form.get("verdict");
  if (verdict !== "approve" && verdict !== "deny") return { say: "form_expired", status: 400 };
  const reason = readReason(form.get("reason"));
  const channel = channelOf(ground, form.get("via"));
  if (reason === null) return await showAgain(ground, visitor, id, channel, unreadableReason);
  const assertion = parseAnswer<Assertion>(form.get("assertion"));
  const ceremony = form.get("ceremony");
  const answer = await decide(ground, {
    approvalId: id,
    approver: visitor.approver,
    session: visitor.session,
    verdict,
    cardHash: form.get("card") ?? "",
    ...(channel !== undefined && { channel }),
    ...(verdict === "deny" && reason !== undefined && { reason }),
    ...(assertion && ceremony !== undefined && { signed: { ceremony, assertion } }),
  });
  if (!("refused" in answer)) return { go: `/requests/${id}` };
  if (answer.refused === "signed_out") return { go: "/sign-in" };
  return await showAgain(ground, visitor, id, channel, problems[answer.refused]);
}

/** The card once more, with why the attempt changed nothing. */
async function showAgain(
  ground: HttpGround,
  visitor: Visitor,
  id: string,
  channel: string | undefined,
  problem: string | undefined,
): Promise<PageAnswer> {
  const held = await ground.store.read("approval", id);
  if (!held?.record.candidates.includes(visitor.approver.id)) return unreadable;
  const view = await viewOf(ground, visitor, held.record, channel);
  return { page: cardPage({ ...view, problem }), status: 409 };
}

export async function pauseFromCard(
  ground: HttpGround,
  visitor: Visitor,
  _: Form,
  id: string,
): Promise<PageAnswer> {
  const held = await ground.store.read("approval", id);
  if (!held?.record.candidates.includes(visitor.approver.id)) return unreadable;
  await pauseAgent(ground.store, held.record.agent, true, visitor.approver.id);
  return { say: "agent_paused", status: 200 };
}

async function viewOf(
  ground: HttpGround,
  visitor: Visitor,
  approval: Approval,
  via: string | undefined,
): Promise<CardView> {
  const { store, config } = ground;
  const now = store.now();
  const state = stateAt(approval, now);
  const level = levelNow(config, approval) ?? approval.level;
  const open = state === "pending" && now < approval.decideBy;
  const signing =
    open && level === "passkey-signed" ? await openDecision(ground, approval, visitor.approver) : undefined;
  return {
    card: approval.card,
    cardHash: approval.cardHash,
    requestId: approval.id,
    state,
    shortDigest: shortDigest(approval.digest),
    createdAt: approval.createdAt,
    decideBy: approval.decideBy,
    expiresAt: approval.expiresAt,
    now,
    csrf: visitor.csrf,
    via,
    level,
    needsSignIn: level === "passkey" && now >= visitor.session.authenticatedAt + freshPasskeyMs,
    ceremony: signing && {
      token: signing.ceremony,
      challenge: signing.options.challenge,
      rpId: ground.party.rpId,
      allowCredentials: (signing.options.allowCredentials ?? []).map(({ id, transports = [] }) => ({
        id,
        transports,
      })),
    },
    decision: await decisionOf(ground, visitor.approver, approval),
    approverName: visitor.approver.name,
    problem: open ? await obstacle(ground, approval) : undefined,
  };
}

/** Why an approval would be refused, said before anybody reaches for a passkey. */
async function obstacle({ store }: HttpGround, { agent, parts }: Approval): Promise<string | undefined> {
  const held = await store.read("agent", agent);
  if (held?.record.paused) return problems.paused;
  return (await isLatched(store, parts)) ? problems.latched : undefined;
}

async function decisionOf(
  { store }: HttpGround,
  reader: Approver,
  { standing }: Approval,
): Promise<CardView["decision"]> {
  if (!("decision" in standing)) return undefined;
  const { approver, at, reason } = standing.decision;
  const held = await store.read("approver", approver);
  return {
    verdict: standing.state === "denied" ? "deny" : "approve",
    approverName: held?.record.name ?? approver,
    at,
    reason,
    mine: approver === reader.id,
  };
}

/** The reason for a denial, as it will be told: NFC, short, nothing invisible. Null where it cannot be. */
function readReason(text: string | undefined): string | undefined | null {
  const reason = text?.normalize("NFC").replace(/\s+/g, " ").trim();
  if (!reason) return undefined;
  return inspectText(reason, { maxCodePoints: 300 }) === undefined ? reason : null;
}
