/** Edits a test's configuration as data, and fails on an edit without effect: tests then follow a change of the sample. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { parse, stringify } from "yaml";

export type ConfigValue =
  | string
  | number
  | boolean
  | null
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue };

/** The parsed value of a `countersign.yaml`. */
export type ConfigObject = { readonly [key: string]: ConfigValue };

/**
 * A change of a configuration, in the keys of the file: objects are merged, lists and scalars replace, `undefined` and
 * `null` remove the key. Any path is allowed; the server's validation rejects an unknown one.
 */
export type ConfigEdit = { readonly [key: string]: ConfigValue | ConfigEdit | undefined };

/** Returns the configuration with the edit applied. Throws if any part of the edit changes nothing. */
export function editConfig(config: ConfigObject, edit: ConfigEdit): ConfigObject {
  return merge(config, edit, []);
}

function merge(config: ConfigObject, edit: ConfigEdit, parents: readonly string[]): ConfigObject {
  const edited: Record<string, ConfigValue> = { ...config };
  for (const [key, change] of Object.entries(edit)) {
    const path = [...parents, key];
    const current = config[key];
    if (change === undefined || change === null) {
      assert.ok(current !== undefined, `config edit: ${path.join(".")} is removed but not set`);
      delete edited[key];
      continue;
    }
    const value = isObject(change)
      ? merge(isObject(current) ? current : {}, change, path)
      : (change as ConfigValue);
    assert.ok(!isDeepStrictEqual(value, current), `config edit: ${path.join(".")} has this value already`);
    edited[key] = value;
  }
  return edited;
}

/** Formats a configuration as the text of a `countersign.yaml`. */
export function formatConfig(config: ConfigObject): string {
  return stringify(config, { aliasDuplicateObjects: false, lineWidth: 0 });
}

/** Writes the configuration file `from` with the edit applied to the file `to`, by default itself; comments are dropped. */
export function editConfigFile(from: string, edit: ConfigEdit, to = from): void {
  writeFileSync(to, formatConfig(editConfig(parse(readFileSync(from, "utf8")), edit)));
}

/**
 * Replaces the first occurrence of `from` in a configuration text, for tests of positions in the text; other tests use
 * `editConfig`. Throws if the text stays the same.
 */
export function replaceConfigText(text: string, from: string | RegExp, to: string): string {
  const replaced = text.replace(from, to);
  assert.notEqual(replaced, text, `config edit: ${from} is not in the text`);
  return replaced;
}

function isObject<T>(value: T): value is T & ConfigObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
