/** Read-only values. */
import { freezeDeep } from "../domain/action/build.ts";

/** Returns a read-only map with deeply frozen values. Changing it throws a TypeError. */
export function freezeMap<V>(entries: readonly (readonly [string, V])[]): ReadonlyMap<string, V> {
  const map = new Map(entries.map(([key, value]) => [key, freezeDeep(value)]));
  const refuse = () => {
    throw new TypeError("the configuration is immutable");
  };
  return Object.freeze(Object.assign(map, { set: refuse, delete: refuse, clear: refuse }));
}
