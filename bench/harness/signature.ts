/** Measures bare ES256 signatures at the time of the benchmark, to compare machines. */
import { generateKeyPairSync, sign } from "node:crypto";

/** Returns signatures per CPU second. */
export function bareSignatures(count = 2000): number {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
  const before = process.cpuUsage();
  for (let at = 0; at < count; at += 1) sign("sha256", Buffer.from(`${at}`), key);
  const { user, system } = process.cpuUsage(before);
  return count / ((user + system) / 1e6);
}
