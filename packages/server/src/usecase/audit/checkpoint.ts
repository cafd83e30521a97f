/**
 * Gives waiting log entries their place, and signs what the log is now. Tampering is evident up to the newest
 * checkpoint that somebody else has kept, so each new one is handed to the publisher at once.
 */
import type { Checkpoint } from "@countersign/protocol";
import type { Store } from "../../store/store.ts";

export type CheckpointDeps = {
  readonly store: Store;
  /** Signs with the log's own key. Built in `keys/`. */
  readonly signCheckpoint: (writeCheckpoint: Omit<Checkpoint, "origin">) => string;
  /** Takes each new checkpoint off this process; a throw is a fault for the log of the operator. */
  readonly publish: (note: string) => Promise<void>;
};

/** So few that the event loop is held up for no longer than a request takes. */
const batch = 200;

/** One round. Answers the new checkpoint, or undefined where nothing has been added since the last one. */
export async function writeCheckpoint({
  store,
  signCheckpoint,
  publish,
}: CheckpointDeps): Promise<string | undefined> {
  let size = await store.log.size();
  for (;;) {
    const grown = await store.log.sequence(batch);
    if (grown - size < batch) {
      size = grown;
      break;
    }
    size = grown;
  }
  const newest = await store.log.newestCheckpoint();
  if (size === 0 || newest?.size === size) return undefined;
  const note = signCheckpoint({ size, root: await store.log.root(size) });
  // Published first: if we crash in between, the same note is made and published again, and none is ever missed.
  await publish(note);
  await store.log.storeCheckpoint(size, note);
  return note;
}
