/**
 * Which actions may be parts of one, with one card, one yes and one token. The operator says so, type by type, and both
 * types must say it of each other: a type that nobody thought of together with others is always asked for alone.
 */
import type { ActionPolicy } from "./action-type.ts";

/** What this has to be told of a type. */
export type Combinable = Pick<ActionPolicy, "combinableWith"> & {
  readonly definition: Pick<ActionPolicy["definition"], "type" | "audience">;
};

/** More on one card, and nobody reads the last as they read the first. */
export const maxParts = 10;

/** The first two, by their places, that may not be parts of one action; undefined where all may. */
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
