/** Takes signed checkpoints off this process: one after another into a file, for somebody else to copy away. */
import { appendFile } from "node:fs/promises";

/** Without a file, checkpoints are only kept in the store. */
export function createCheckpointWriter(path: string | undefined): (note: string) => Promise<void> {
  return async (note) => {
    if (path !== undefined) await appendFile(path, `${note}\n`);
  };
}
