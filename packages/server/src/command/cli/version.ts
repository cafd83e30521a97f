import { readFileSync } from "node:fs";

/** Returns the version in the package manifest, which lies above the sources and above the published files alike. */
export function readVersion(): string {
  return String(JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).version);
}
