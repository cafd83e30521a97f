/**
 * Which action types may be parts of one action, with one card, one decision and one token. The operator declares it, and
 * both types must name each other; by default a type is requested alone.
 */
import type { ActionPolicy } from "./action-type.ts";

/** The members of an action policy that are needed here. */
export type Combinable = Pick<ActionPolicy, "combinableWith"> & {
  readonly definition: Pick<ActionPolicy["definition"], "type" | "audience">;
};

/** The maximum number of parts. With more, approvers would not read the last ones as carefully as the first. */
export const maxParts = 10;

/** Finds the first two parts, by index, that may not be combined; undefined if all may. */
export function findNotCombinable(policies: readonly Combinable[]): readonly [number, number] | undefined {
  for (const [right, policy] of policies.entries()) {
    const left = policies.slice(0, right).findIndex((other) => !isCombinable(other, policy));
    if (left >= 0) return [left, right];
  }
  return undefined;
}

function isCombinable(one: Combinable, other: Combinable): boolean {
  return (
    one.combinableWith.includes(other.definition.type) &&
    other.combinableWith.includes(one.definition.type) &&
    one.definition.audience === other.definition.audience
  );
}
