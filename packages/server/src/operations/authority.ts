/**
 * Whether a request still holds. Authority follows the stricter of the rules pinned by the request and those in force at
 * the instant of asking, deciding or issuing: of every part of the action, since a yes is to all of it.
 */
import type { AuthenticationLevel } from "@countersign/protocol";
import type { ActionRule } from "../action/definition.ts";
import { apart } from "../action/together.ts";
import type { Approval, AskedPart } from "../approval/approval.ts";
import type { Approver } from "../approver/approver.ts";
import { stricter } from "../approver/level.ts";
import { related } from "../approver/relation.ts";
import { mayDecide } from "../approver/rule.ts";
import type { Agent } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import { absent, type Store, type Write } from "../store/store.ts";

/** The rules in force, one for each part; undefined where a type is gone, or they are not approved together any more. */
export function rulesNow(
  config: Config,
  parts: readonly Pick<AskedPart, "type">[],
): readonly ActionRule[] | undefined {
  const rules = parts.flatMap(({ type }) => config.actions.get(type) ?? []);
  return rules.length === parts.length && !apart(rules) ? rules : undefined;
}

/** The level that an approval of this request needs now; undefined where nobody may approve it any more. */
export function levelNow(config: Config, { parts, level }: Approval): AuthenticationLevel | undefined {
  return rulesNow(config, parts)
    ?.map(({ definition }) => definition.level)
    .reduce(stricter, level);
}

/** Whether this agent may still ask for all of it, and of this person, and the person still decide all of it. */
export function mayApprove(
  config: Config,
  { id: agent, types }: Agent,
  { email }: Approver,
  { parts }: Approval,
): boolean {
  const rules = rulesNow(config, parts);
  if (!rules || !parts.every(({ type }) => types.includes(type))) return false;
  const ruled = rules.map(({ approvers }, at) => ({ approvers, bound: parts[at]!.bound }));
  const { relations } = config.permission;
  return (
    mayDecide(ruled, config.groups, email) &&
    (!relations || related(relations, config.groups, agent, parts, email))
  );
}

/** Whether a person has denied any part of it, under whatever terms. */
export async function isLatched(store: Store, parts: readonly AskedPart[]): Promise<boolean> {
  for (const { latchKey } of parts) if (await store.read("latch", latchKey)) return true;
  return false;
}

/** That none of it is latched, as guards of a commit. */
export function noLatch(parts: readonly AskedPart[]): readonly Write[] {
  const ids = new Set(parts.map(({ latchKey }) => latchKey));
  return [...ids].map((id) => ({ check: "latch", id, expect: absent }));
}
