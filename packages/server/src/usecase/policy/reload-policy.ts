/**
 * Replaces the policy of a running server: publishes the new action types, reconciles the declared agents, writes an audit
 * entry, and then swaps. If any step fails, the server keeps the policy that it has.
 */
import { getErrorMessage } from "@countersign/protocol";
import { configuration } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { type Config, type ConfigProblems, formatProblem, type LoadedConfig } from "../../config/config.ts";
import { type Change, type ConfigValues, diffConfigs, hashPolicy } from "../../config/digest.ts";
import type { Policy } from "../../config/sections.ts";
import type { Store } from "../../store/store.ts";
import { publishActionTypes } from "../client/publish-action-types.ts";
import { formatIdConflict, planReconciliation, reconcileAgents } from "../client/reconcile-agents.ts";

export type ReloadResult =
  | {
      readonly reloaded: true;
      /** Changed members, such as `actions.refund`. */
      readonly changed: readonly string[];
      /** Changed top-level keys that take effect only after a restart. */
      readonly needsRestart: readonly string[];
    }
  | { readonly reloaded: false; readonly problems: readonly string[] };

export type ReloadDeps = {
  readonly store: Store;
  readonly load: () => LoadedConfig | ConfigProblems;
  /** Opens what depends on the policy, such as the permission backend. The returned function swaps, and cannot fail. */
  readonly prepare: (policy: Policy) => Promise<() => void>;
};

/** An entry names at most so many changes; `from` and `to` cover all of them. */
const maxChanges = 200;

/** Returns a function that reloads. Concurrent calls run one after another. `initial`: the values in force. */
export function createPolicyReloader(deps: ReloadDeps, initial: ConfigValues): () => Promise<ReloadResult> {
  let values = initial;
  let previous: Promise<unknown> = Promise.resolve();

  return () => {
    const result = previous.then(reload);
    previous = result.catch(() => undefined);
    return result;
  };

  async function reload(): Promise<ReloadResult> {
    const loaded = deps.load();
    if ("problems" in loaded) return { reloaded: false, problems: loaded.problems.map(formatProblem) };
    const { policy: changes, needsRestart } = diffConfigs(values, loaded.values);
    try {
      const conflict = await apply(loaded.config, changes, loaded.values);
      if (conflict) return { reloaded: false, problems: conflict };
    } catch (error) {
      return { reloaded: false, problems: [getErrorMessage(error)] };
    }
    // Only the policy: a later reload reports again which keys need a restart.
    const fixed = Object.fromEntries(needsRestart.map((key) => [key, values[key]]));
    values = { ...loaded.values, ...fixed };
    return { reloaded: true, changed: changes.map(({ member }) => member), needsRestart };
  }

  /** Returns problems, or undefined if the policy was replaced. */
  async function apply(
    config: Config,
    changes: readonly Change[],
    next: ConfigValues,
  ): Promise<readonly string[] | undefined> {
    const { store } = deps;
    const plan = await planReconciliation(store, config);
    if (plan.conflicts.length > 0) return plan.conflicts.map(formatIdConflict);
    const swap = await deps.prepare(config);
    await publishActionTypes(store, config);
    await reconcileAgents(store, config);
    if (changes.length > 0) {
      const facts = {
        from: hashPolicy(values),
        to: hashPolicy(next),
        changes: changes.slice(0, maxChanges),
        ...(changes.length > maxChanges && { more: changes.length - maxChanges }),
      };
      const entry = newEntry("policy.reloaded", store.now(), { actor: configuration, facts });
      await store.commit({ writes: [], entries: [entry] });
    }
    swap();
    return undefined;
  }
}
