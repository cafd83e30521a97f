import { readFileSync } from "node:fs";

/** Of this package, as its manifest summary: it lies above the sources as it does above what is published of them. */
export function version(): string {
  return String(JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")).version);
}
