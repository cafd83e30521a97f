/** Other accounts of this machine, for what root may do and they may not. */
import { spawnSync } from "node:child_process";

/** Whether this process may become that account, and that account can read this checkout. */
export function canBe(account: number): boolean {
  if (process.geteuid?.() !== 0) return false;
  const main = new URL("../../../server/src/main.ts", import.meta.url).pathname;
  const ran = spawnSync(process.execPath, [main, "--version"], { uid: account, gid: account, cwd: "/" });
  return ran.status === 0;
}
