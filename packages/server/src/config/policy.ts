/** The reloadable part of the configuration, for a running server. */
import type { Policy } from "./sections.ts";

/** A value that a reload replaces. Call `current` once per operation, so that the whole operation uses the same value. */
export type Source<T> = { readonly current: () => T };
export type PolicySource = Source<Policy>;

/** Returns a source, and the function that replaces its value. */
export function createSource<T>(initial: T): Source<T> & { readonly replace: (next: T) => void } {
  let value = initial;
  return {
    current: () => value,
    replace: (next) => {
      value = next;
    },
  };
}
