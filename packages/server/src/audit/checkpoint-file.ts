/** Appends signed checkpoints to a file, from which they are copied to another machine. */
import { appendFile } from "node:fs/promises";

/** Returns a writer that appends to the file at `path`. Without a path it does nothing: checkpoints are in the store only. */
export function createCheckpointWriter(path: string | undefined): (note: string) => Promise<void> {
  return async (note) => {
    if (path !== undefined) await appendFile(path, `${note}\n`);
  };
}
