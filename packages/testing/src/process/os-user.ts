/** Other user accounts, for tests of file permissions that root bypasses. */
import { spawnSync } from "node:child_process";

/** Returns whether this process may run as that user id, and that user can read this checkout. */
export function canRunAs(account: number): boolean {
  if (process.geteuid?.() !== 0) return false;
  const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;
  const ran = spawnSync(process.execPath, [main, "--version"], { uid: account, gid: account, cwd: "/" });
  return ran.status === 0;
}
