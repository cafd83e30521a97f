/**
 * Sequences log entries, signs a checkpoint and publishes it. Tampering is detectable up to the newest checkpoint
 * that was kept elsewhere, so each new one is published immediately.
 */
import type { Checkpoint } from "@countersign/protocol";
import type { Store } from "../../store/store.ts";

export type CheckpointDeps = {
  readonly store: Store;
  /** Signs with the key of the log (`usecase/key/keyring.ts`). */
  readonly signCheckpoint: (checkpoint: Omit<Checkpoint, "origin">) => string;
  /** Publishes a checkpoint outside this process. A rejection is logged as a fault. */
  readonly publish: (note: string) => Promise<void>;
};

/** Small enough that the event loop is not blocked longer than by a request. */
const batchSize = 200;

/** Runs once. Returns the new checkpoint, or undefined if there are no new entries. */
export async function writeCheckpoint({
  store,
  signCheckpoint,
  publish,
}: CheckpointDeps): Promise<string | undefined> {
  let size = await store.log.size();
  for (;;) {
    const newSize = await store.log.sequence(batchSize);
    if (newSize - size < batchSize) {
      size = newSize;
      break;
    }
    size = newSize;
  }
  const newest = await store.log.newestCheckpoint();
  if (size === 0 || newest?.size === size) return undefined;
  const note = signCheckpoint({ size, root: await store.log.root(size) });
  // Publish first: after a crash in between, the same note is created and published again, and none is missed.
  await publish(note);
  await store.log.storeCheckpoint(size, note);
  return note;
}
