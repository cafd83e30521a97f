/** Digests of the configuration's values, by which a reload names what changed without copying the rules into the log. */
import { hashJson, type Json } from "@countersign/protocol";
import { sections } from "./sections.ts";

/** Values by top-level key, validated and with defaults. */
export type ConfigValues = { readonly [key: string]: unknown };

/** One changed member, such as `actions.refund` or `user_codes`: base64url SHA-256 hashes, null if it does not exist. */
export type Change = { readonly member: string; readonly from: string | null; readonly to: string | null };

/** Returns the changed members of the reloadable sections, and the top-level keys of the others that changed. */
export function diffConfigs(
  before: ConfigValues,
  after: ConfigValues,
): { readonly policy: readonly Change[]; readonly needsRestart: readonly string[] } {
  const keys = (reloadable: boolean) =>
    sections
      .filter((section) => section.reloadable === reloadable)
      .flatMap(({ shape }) => Object.keys(shape));
  return {
    policy: keys(true).flatMap((key) => diffMembers(key, before[key], after[key])),
    needsRestart: keys(false).filter((key) => digest(before[key]) !== digest(after[key])),
  };
}

/** Returns the base64url SHA-256 hash of all reloadable sections. */
export function hashPolicy(values: ConfigValues): string {
  const keys = sections.filter(({ reloadable }) => reloadable).flatMap(({ shape }) => Object.keys(shape));
  return hashJson(toJson(Object.fromEntries(keys.map((key) => [key, values[key]]))));
}

function diffMembers(key: string, before: unknown, after: unknown): Change[] {
  if (!isRecord(before) || !isRecord(after)) return compare(key, before, after);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => compare(`${key}.${name}`, before[name], after[name]));
}

function compare(member: string, before: unknown, after: unknown): Change[] {
  const [from, to] = [digest(before), digest(after)];
  return from === to ? [] : [{ member, from, to }];
}

function digest(value: unknown): string | null {
  return value === undefined ? null : hashJson(toJson(value));
}

/** Removes undefined members, which have no canonical form. */
function toJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
