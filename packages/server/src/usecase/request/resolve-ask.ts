/**
 * The first gate: what agent and person may do at all. An ask is held against the configuration, the agent's
 * registration, the operator's rule about who may approve, and the relations between agents and people; whatever is
 * refused here disturbs nobody. A check outside this server comes after it (`permission.ts`).
 */
import type { AuthenticationLevel } from "@countersign/protocol";
import type { Policy } from "../../config/sections.ts";
import { type ParsedPart, parseDetails } from "../../domain/action/parse-details.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import { type Hint as RuleHint, selectCandidates } from "../../domain/policy/approver-policy.ts";
import { isRelated } from "../../domain/policy/relation.ts";
import type { Store } from "../../store/store.ts";
import { permissionRefusal } from "./check-permission.ts";

/** Whom the agent would like to be asked. The operator's rule has the last word. */
export type Hint = RuleHint | { readonly by: "id"; readonly id: string };

/** What an agent asks for, as its endpoint read it. */
export type AskParameters = {
  /** `authorization_details` as sent, unparsed: duplicate keys must still be visible. */
  readonly details?: string;
  readonly scopes: readonly string[];
  readonly hint: Hint;
  readonly audience?: string;
  /** The authentication level asked for, if any; the action type's own level is the least. */
  readonly level?: AuthenticationLevel;
};

/** What passed: the parts of one action, for one API, and those who may decide it, all of them known here. */
export type ResolvedAsk = {
  readonly parts: readonly ParsedPart[];
  readonly audience: string;
  readonly people: readonly Approver[];
};

export type GateRefusal =
  | "access_denied"
  | "invalid_scope"
  | "invalid_authorization_details"
  | "invalid_target"
  | "unknown_user_id";
/** Which gate it was: what the agent is registered for, who may approve, or what is permitted between the two. */
export type Gate = "registration" | "rule" | "permission";
type GateRefused = { readonly refused: GateRefusal; readonly why: string; readonly gate?: Gate };

/** Scopes that mean nothing for an action. They are accepted, because real clients send them, and not granted. */
export const ungrantedScopes = ["offline_access", "profile", "email"];

export async function resolveAsk(
  store: Store,
  policy: Policy,
  agent: Agent,
  wish: AskParameters,
): Promise<ResolvedAsk | GateRefused> {
  const read = parseAskParameters(policy, agent, wish);
  if ("refused" in read) return read;
  const people = await selectPeople(store, policy, agent, read.parts, wish.hint);
  return "refused" in people ? people : { ...read, people };
}

/** What is asked, held against the configuration alone. */
function parseAskParameters(
  rules: Policy,
  agent: Agent,
  { details, scopes, audience: wanted }: AskParameters,
): Omit<ResolvedAsk, "people"> | GateRefused {
  if (agent.paused) return { refused: "access_denied", why: "this agent is paused", gate: "registration" };
  if (!scopes.includes("openid")) return { refused: "invalid_scope", why: "scope must contain openid" };
  const actionScopes = scopes.filter((scope) => scope !== "openid" && !ungrantedScopes.includes(scope));
  const unknown = actionScopes.find((scope) => rules.actions.get(scope)?.scope !== scope);
  if (unknown !== undefined) return { refused: "invalid_scope", why: "unknown scope" };

  const parts = parseParts(rules, details, actionScopes);
  if ("refused" in parts) return parts;
  const foreign = parts.find(({ policy }) => !agent.types.includes(policy.definition.type));
  if (foreign)
    return {
      refused: foreign.policy.scope ? "invalid_scope" : "invalid_authorization_details",
      why: `this agent is not registered for the action type ${foreign.policy.definition.type}`,
      gate: "registration",
    };
  const { type, audience } = parts[0]!.policy.definition;
  if (wanted !== undefined && wanted !== audience)
    return { refused: "invalid_target", why: `the action type ${type} is for ${audience}` };
  return { parts, audience };
}

/** Never empty. */
function parseParts(
  rules: Policy,
  details: string | undefined,
  scopes: readonly string[],
): readonly ParsedPart[] | GateRefused {
  if (details === undefined) {
    const policy = scopes.length === 1 ? rules.actions.get(scopes[0]!) : undefined;
    if (policy) return [{ policy, bound: {}, advisory: {} }];
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
  const read = parseDetails(details, rules.actions);
  return "refused" in read ? { refused: read.refused, why: `${read.path} ${read.why}` } : read;
}

/** Who may be asked: the operator's rule, narrowed by the hint and by relations, and enrolled here. */
async function selectPeople(
  store: Store,
  policy: Policy,
  { id: agent }: Agent,
  parts: readonly ParsedPart[],
  hint: Hint,
): Promise<readonly Approver[] | GateRefused> {
  let ruleHint: RuleHint;
  if (hint.by === "id") {
    const found = await store.read("approver", hint.id);
    if (!found) return applyPolicy("unknown_user_id", "no approver matches the hint");
    ruleHint = { by: "email", email: found.record.email };
  } else ruleHint = hint;
  const asked = parts.map(({ policy: { approvers, definition }, bound }) => ({
    approvers,
    type: definition.type,
    bound,
  }));
  const emails = selectCandidates(asked, policy.groups, ruleHint);
  if ("refused" in emails && emails.refused === "access_denied")
    return applyPolicy(
      emails.refused,
      `no approver may decide ${parts.length > 1 ? "all parts of this request" : "this request"}`,
    );
  if ("refused" in emails)
    return applyPolicy(emails.refused, "no approver who may decide this request matches the hint");
  const { relations } = policy.permission;
  const allowedByRelations = relations
    ? emails.filter((email) => isRelated(relations, policy.groups, agent, asked, email))
    : emails;
  if (allowedByRelations.length === 0) return permissionRefusal;
  const people: Approver[] = [];
  for (const email of allowedByRelations) {
    const approver = await store.findApproverByEmail(email);
    if (approver) people.push(approver);
  }
  return people.length > 0
    ? people
    : applyPolicy("unknown_user_id", "no approver who may decide this request is enrolled");
}

function applyPolicy(refused: GateRefusal, why: string): GateRefused {
  return { refused, why, gate: "rule" };
}
