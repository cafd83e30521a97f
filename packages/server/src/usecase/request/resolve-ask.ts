/**
 * Resolves what an agent asks for: parses the parameters, checks the agent's registration, and selects the approvers by the
 * approver policy, the relations and the hint. No approver is notified of what is refused here. The external permission check
 * comes later (`check-permission.ts`).
 */
import type { AuthenticationLevel } from "@countersign/protocol";
import type { Policy } from "../../config/sections.ts";
import type { Directory } from "../../directory/directory.ts";
import { type ParsedPart, parseDetails } from "../../domain/action/parse-details.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import { type Hint as PolicyHint, selectCandidates } from "../../domain/policy/approver-policy.ts";
import { isRelated } from "../../domain/policy/relation.ts";
import type { Store } from "../../store/store.ts";
import { permissionRefusal } from "./check-permission.ts";
import { readCandidateSnapshot } from "./read-policy-snapshot.ts";

/** The approvers whom the agent would like to be notified. Never adds an approver to those that the policy allows. */
export type Hint = PolicyHint | { readonly by: "id"; readonly id: string };

/** The parameters of an ask, as parsed by the endpoint. */
export type AskParameters = {
  /** `authorization_details` as sent. Unparsed, so that duplicate keys can be rejected. */
  readonly details?: string;
  readonly scopes: readonly string[];
  readonly hint: Hint;
  readonly audience?: string;
  /** The requested authentication level. The level of the action type is the minimum. */
  readonly level?: AuthenticationLevel;
};

/** The parts of one action, its API, and its candidates: at least one, all enrolled and active. */
export type ResolvedAsk = {
  readonly parts: readonly ParsedPart[];
  readonly audience: string;
  readonly candidates: readonly Approver[];
};

export type ResolveRefusal =
  | "access_denied"
  | "invalid_scope"
  | "invalid_authorization_details"
  | "invalid_target"
  | "unknown_user_id";
/** The stage that refused: the agent's registration, the approver policy, or the relations and the permission check. */
export type RefusalStage = "registration" | "approver_policy" | "permission";
type ResolveRefused = {
  readonly refused: ResolveRefusal;
  readonly why: string;
  readonly stage?: RefusalStage;
};

/** Scopes that are accepted, because clients send them by default, and not granted. */
export const ungrantedScopes = ["offline_access", "profile", "email"];

type ResolveDeps = { readonly store: Store; readonly policy: Policy; readonly directory: Directory };

export async function resolveAsk(
  deps: ResolveDeps,
  agent: Agent,
  parameters: AskParameters,
): Promise<ResolvedAsk | ResolveRefused> {
  const parsed = parseAskParameters(deps.policy, agent, parameters);
  if ("refused" in parsed) return parsed;
  const candidates = await selectApprovers(deps, agent, parsed.parts, parameters.hint);
  return "refused" in candidates ? candidates : { ...parsed, candidates };
}

/** Checks the parameters against the configuration and the agent's registration. Reads no store. */
function parseAskParameters(
  policy: Policy,
  agent: Agent,
  { details, scopes, audience: requestedAudience }: AskParameters,
): Omit<ResolvedAsk, "candidates"> | ResolveRefused {
  if (agent.paused) return { refused: "access_denied", why: "this agent is paused", stage: "registration" };
  if (!scopes.includes("openid")) return { refused: "invalid_scope", why: "scope must contain openid" };
  const actionScopes = scopes.filter((scope) => scope !== "openid" && !ungrantedScopes.includes(scope));
  const unknown = actionScopes.find((scope) => policy.actions.get(scope)?.scope !== scope);
  if (unknown !== undefined) return { refused: "invalid_scope", why: "unknown scope" };

  const parts = parseParts(policy, details, actionScopes);
  if ("refused" in parts) return parts;
  const unregistered = parts.find(
    ({ policy: actionPolicy }) => !agent.types.includes(actionPolicy.definition.type),
  );
  if (unregistered)
    return {
      refused: unregistered.policy.scope ? "invalid_scope" : "invalid_authorization_details",
      why: `this agent is not registered for the action type ${unregistered.policy.definition.type}`,
      stage: "registration",
    };
  const { type, audience } = parts[0]!.policy.definition;
  if (requestedAudience !== undefined && requestedAudience !== audience)
    return { refused: "invalid_target", why: `the action type ${type} is for ${audience}` };
  return { parts, audience };
}

/** Returns the parts of the action: at least one. */
function parseParts(
  policy: Policy,
  details: string | undefined,
  scopes: readonly string[],
): readonly ParsedPart[] | ResolveRefused {
  if (details === undefined) {
    const actionPolicy = scopes.length === 1 ? policy.actions.get(scopes[0]!) : undefined;
    if (actionPolicy) return [{ policy: actionPolicy, bound: {}, advisory: {} }];
    return {
      refused: "invalid_authorization_details",
      why: "send authorization_details, or exactly one scope that is declared as an action",
    };
  }
  if (scopes.length > 0)
    return {
      refused: "invalid_authorization_details",
      why: "one request is one action: details or an action scope",
    };
  const parsed = parseDetails(details, policy.actions);
  return "refused" in parsed ? { refused: parsed.refused, why: `${parsed.path} ${parsed.why}` } : parsed;
}

/** Selects the candidates: allowed by the approver policy, matched by the hint, allowed by the relations, and active. */
async function selectApprovers(
  { store, policy, directory }: ResolveDeps,
  { id: agent }: Agent,
  parts: readonly ParsedPart[],
  hint: Hint,
): Promise<readonly Approver[] | ResolveRefused> {
  const policyHint = hint.by === "id" ? await resolveIdHint(directory, hint.id) : hint;
  if (!policyHint) return refuseByPolicy("unknown_user_id", "no approver matches the hint");
  const { relations } = policy.permission;
  const query = { agent, parts, relations };
  const snapshot = await readCandidateSnapshot(directory, query, policyHint, store.now());
  const emails = selectCandidates(snapshot, policyHint);
  if ("refused" in emails && emails.refused === "access_denied")
    return refuseByPolicy(
      emails.refused,
      `no approver may decide ${parts.length > 1 ? "all parts of this request" : "this request"}`,
    );
  if ("refused" in emails)
    return refuseByPolicy(emails.refused, "no approver who may decide this request matches the hint");
  const typed = parts.map(({ policy: actionPolicy, bound }) => ({
    type: actionPolicy.definition.type,
    bound,
  }));
  const related = relations
    ? emails.filter((email) => isRelated(relations, snapshot.groups, agent, typed, email))
    : emails;
  if (related.length === 0) return permissionRefusal;
  const approvers: Approver[] = [];
  for (const email of related) {
    const entry = await directory.findByEmail(email);
    if (entry?.active) approvers.push(entry.record);
  }
  return approvers.length > 0
    ? approvers
    : refuseByPolicy("unknown_user_id", "no approver who may decide this request is enrolled");
}

/** Policies identify approvers by e-mail address. Returns undefined for an unknown or deactivated approver. */
async function resolveIdHint(directory: Directory, id: string): Promise<PolicyHint | undefined> {
  const entry = await directory.findById(id);
  return entry?.active ? { by: "email", email: entry.record.email } : undefined;
}

function refuseByPolicy(refused: ResolveRefusal, why: string): ResolveRefused {
  return { refused, why, stage: "approver_policy" };
}
