/**
 * An agent asks. Everything that can be refused is refused here, before any person is disturbed: the action, the
 * agent's right to it, the approvers whom the operator's rule allows, the latch. What remains becomes durable, with its
 * messages and its log entry, before the agent hears of it. An identical ask that is still waiting is the same ask.
 */
import { randomBytes } from "node:crypto";
import { type AuthenticationLevel, hashJson, type JsonObject } from "@countersign/protocol";
import { cardHash, readMessage, renderCard, sentenceText } from "../action/card.ts";
import type { ActionRule } from "../action/definition.ts";
import { readAction } from "../action/read.ts";
import { type Approval, decideBy, stateAt } from "../approval/approval.ts";
import { latchKey, subjectOf } from "../approval/latch.ts";
import type { Approver } from "../approver/approver.ts";
import { stricter } from "../approver/level.ts";
import { candidates, type Hint as RuleHint } from "../approver/rule.ts";
import type { Config } from "../config/config.ts";
import type { AskKey } from "../store/record.ts";
import { absent, type Held, type Store, type Write } from "../store/store.ts";
import { newEntry } from "./entry.ts";
import { newId } from "./id.ts";

/** Whom the agent would like to be asked. The operator's rule has the last word. */
export type Hint =
  | { readonly by: "owner" }
  | { readonly by: "email"; readonly email: string }
  | { readonly by: "id"; readonly id: string };

export type AskInput = {
  readonly agent: Held<"agent">;
  /** `authorization_details` as sent, unparsed: duplicate keys must still be visible. */
  readonly details?: string;
  readonly scopes: readonly string[];
  readonly hint: Hint;
  readonly message?: string;
  readonly requestedExpirySeconds?: number;
  readonly audience?: string;
  /** The authentication level asked for, if any; the action type's own level is the least. */
  readonly level?: AuthenticationLevel;
  readonly idempotencyKey?: string;
};

export type Asked = {
  readonly approval: string;
  readonly expiresAt: number;
  /** True where an identical ask was already known, and this is its answer. */
  readonly joined: boolean;
};

export type AskRefusal =
  | "access_denied"
  | "invalid_scope"
  | "invalid_authorization_details"
  | "invalid_binding_message"
  | "invalid_target"
  | "invalid_request"
  | "unknown_user_id";
export type Refused = { readonly refused: AskRefusal; readonly why: string };

export type AskGround = { readonly store: Store; readonly config: Config };

/** Scopes that mean nothing for an action. They are accepted, because real clients send them, and not granted. */
export const ungrantedScopes = ["offline_access", "profile", "email"];

const keptAfterExpiryMs = 30 * 24 * 3_600_000;
const attempts = 8;

export async function ask(ground: AskGround, input: AskInput): Promise<Asked | Refused> {
  const action = readAsk(ground.config, input);
  if ("refused" in action) return await refuse(ground, input, action);
  const people = await choosePeople(ground, action, input.hint);
  if ("refused" in people) return await refuse(ground, input, people);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const answer = await tryAsk(ground, input, action, people);
    if (answer === "conflict") continue;
    return "refused" in answer ? await refuse(ground, input, answer) : answer;
  }
  throw new Error("an ask met a conflict each time it was tried");
}

type ReadAsk = { readonly rule: ActionRule; readonly bound: JsonObject; readonly advisory: JsonObject };

/** What is asked, held against the configuration alone. */
function readAsk(config: Config, { agent, details, scopes, audience }: AskInput): ReadAsk | Refused {
  if (agent.record.paused) return { refused: "access_denied", why: "this agent is paused" };
  if (!scopes.includes("openid")) return { refused: "invalid_scope", why: "scope must contain openid" };
  const actionScopes = scopes.filter((scope) => scope !== "openid" && !ungrantedScopes.includes(scope));
  const unknown = actionScopes.find((scope) => config.actions.get(scope)?.scope !== scope);
  if (unknown !== undefined) return { refused: "invalid_scope", why: "a scope is not known here" };

  const read = readSubject(config, details, actionScopes);
  if ("refused" in read) return read;
  const { definition } = read.rule;
  if (!agent.record.types.includes(definition.type))
    return {
      refused: read.rule.scope ? "invalid_scope" : "invalid_authorization_details",
      why: `this agent is not registered for the action type ${definition.type}`,
    };
  if (audience !== undefined && audience !== definition.audience)
    return {
      refused: "invalid_target",
      why: `the action type ${definition.type} is for ${definition.audience}`,
    };
  return read;
}

function readSubject(
  config: Config,
  details: string | undefined,
  scopes: readonly string[],
): ReadAsk | Refused {
  if (details === undefined) {
    const rule = scopes.length === 1 ? config.actions.get(scopes[0]!) : undefined;
    if (rule) return { rule, bound: {}, advisory: {} };
    return {
      refused: "invalid_authorization_details",
      why: "say what would be done: authorization_details, or one scope that is declared as an action",
    };
  }
  if (scopes.length > 0)
    return {
      refused: "invalid_authorization_details",
      why: "one request is one action: details or an action scope",
    };
  const read = readAction(details, config.actions);
  return "refused" in read ? { refused: read.refused, why: `${read.path} ${read.why}` } : read;
}

/** Who may be asked: the operator's rule, narrowed by the hint, and enrolled here. */
async function choosePeople(
  { store, config }: AskGround,
  { rule, bound }: ReadAsk,
  hint: Hint,
): Promise<readonly Approver[] | Refused> {
  let ruleHint: RuleHint = { by: "owner" };
  if (hint.by === "email") ruleHint = hint;
  if (hint.by === "id") {
    const held = await store.read("approver", hint.id);
    if (!held) return { refused: "unknown_user_id", why: "nobody here is known by that login_hint" };
    ruleHint = { by: "email", email: held.record.email };
  }
  const emails = candidates(rule.approvers, config.groups, bound, ruleHint);
  if ("refused" in emails)
    return { refused: emails.refused, why: "the rules name nobody to ask by that login_hint" };
  const people: Approver[] = [];
  for (const email of emails) {
    const approver = await store.approverByEmail(email);
    if (approver) people.push(approver);
  }
  if (people.length === 0)
    return { refused: "unknown_user_id", why: "nobody who may decide this is enrolled" };
  return people;
}

async function tryAsk(
  { store, config }: AskGround,
  input: AskInput,
  { rule, bound, advisory }: ReadAsk,
  people: readonly Approver[],
): Promise<Asked | Refused | "conflict"> {
  const { definition, hash: typeHash } = rule;
  const agent = input.agent.record;
  const now = store.now();

  const subject = subjectOf(definition, bound);
  const latch = latchKey(agent.id, definition.type, subject);
  if (await store.read("latch", latch))
    return { refused: "access_denied", why: "a person has denied this action; only a person can re-open it" };

  const lifetime = Math.min(
    input.requestedExpirySeconds ?? rule.lifetimeSeconds.default,
    rule.lifetimeSeconds.max,
  );
  const createdAt = now;
  const expiresAt = now + lifetime * 1000;
  const level = stricter(definition.level, input.level ?? definition.level);
  const words = readMessage(input.message);
  if ("refused" in words) return words;
  const salt = randomBytes(16).toString("base64url");
  const card = renderCard({ rule, agent, bound, advisory, message: words.message, level, expiresAt, salt });
  if ("refused" in card) return { refused: card.refused, why: `${card.path} ${card.why}` };

  const ids = people.map((approver) => approver.id);
  const sameAsk = `same:${hashJson({ agent: agent.id, digest: card.digest, candidates: ids, level })}`;
  const keyed = input.idempotencyKey && `key:${hashJson({ agent: agent.id, key: input.idempotencyKey })}`;

  const heldKey = keyed ? await store.read("ask_key", keyed) : undefined;
  if (heldKey && heldKey.record.content !== sameAsk)
    return { refused: "invalid_request", why: "this Idempotency-Key was used to ask for something else" };
  if (heldKey) {
    const before = await store.read("approval", heldKey.record.approval);
    if (before) return { approval: before.record.id, expiresAt: before.record.expiresAt, joined: true };
  }
  const heldSame = await store.read("ask_key", sameAsk);
  const waiting = heldSame && (await store.read("approval", heldSame.record.approval));
  if (waiting && ["pending", "approved"].includes(stateAt(waiting.record, now))) {
    const joined = { approval: waiting.record.id, expiresAt: waiting.record.expiresAt, joined: true };
    if (!keyed) return joined;
    const remembered = askKey(keyed, waiting.record, sameAsk);
    const outcome = await store.pass({ writes: [{ put: "ask_key", record: remembered, expect: absent }] });
    return outcome === "conflict" ? "conflict" : joined;
  }

  const most = config.limits.waitingPerAgent;
  if ((await store.waitingOf(agent.id, now)) >= most)
    return {
      refused: "access_denied",
      why: "this agent has too many requests waiting; wait for those first",
    };

  const approval: Approval = {
    id: newId("req", now),
    agent: agent.id,
    type: definition.type,
    typeHash,
    audience: definition.audience,
    bound,
    digest: card.digest,
    card,
    cardHash: cardHash(card),
    scope: rule.scope ? `openid ${rule.scope}` : "openid",
    candidates: ids,
    level,
    tokenLifetimeSeconds: rule.tokenLifetimeSeconds,
    latchKey: latch,
    askKey: sameAsk,
    createdAt,
    decideBy: decideBy(createdAt, expiresAt),
    expiresAt,
    standing: { state: "pending" },
  };
  const writes: Write[] = [
    { check: "agent", id: agent.id, expect: input.agent.version },
    { check: "latch", id: latch, expect: absent },
    { put: "approval", record: approval, expect: absent },
    { put: "ask_key", record: askKey(sameAsk, approval, sameAsk), expect: heldSame?.version ?? absent },
    ...(keyed
      ? [
          {
            put: "ask_key",
            record: askKey(keyed, approval, sameAsk),
            expect: heldKey?.version ?? absent,
          } as const,
        ]
      : []),
    ...messages(config, approval, now),
  ];
  const entry = newEntry("request.created", now, {
    request: approval.id,
    agent: agent.id,
    digest: approval.digest,
    facts: {
      type: definition.type,
      type_hash: typeHash,
      audience: definition.audience,
      card_hash: approval.cardHash,
      level,
      candidates: ids,
      expires_at: expiresAt,
    },
    texts: { card: JSON.stringify(card), sentence: sentenceText(card) },
  });
  const outcome = await store.commit({
    writes,
    entries: [entry],
    fewerWaiting: { agent: agent.id, than: most },
  });
  return outcome === "conflict" ? "conflict" : { approval: approval.id, expiresAt, joined: false };
}

function askKey(id: string, approval: Approval, content: string): AskKey {
  return { id, approval: approval.id, content, keptUntil: approval.expiresAt + keptAfterExpiryMs };
}

/** One message for each candidate on each channel that is set up. Content is rendered from the card when it is sent. */
function messages(config: Config, approval: Approval, now: number): Write[] {
  return Object.keys(config.channels).flatMap((channel) =>
    approval.candidates.map((approver) => ({
      put: "message" as const,
      record: {
        id: newId("msg", now),
        channel,
        approval: approval.id,
        approver,
        attempts: 0,
        state: "waiting" as const,
        dueAt: now,
      },
      expect: absent,
    })),
  );
}

/** A refusal is evidence too: who asked for what, and which gate said no. */
async function refuse({ store }: AskGround, { agent }: AskInput, refusal: Refused): Promise<Refused> {
  const entry = newEntry("request.refused", store.now(), {
    agent: agent.record.id,
    facts: { error: refusal.refused },
    texts: { why: refusal.why },
  });
  await store.commit({ writes: [], entries: [entry] });
  return refusal;
}
