import { readFileSync } from "node:fs";

/** Returns the version of the package manifest, which is above the sources and above the published files. */
export function readVersion(): string {
  return String(JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).version);
}
