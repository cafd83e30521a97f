/**
 * Tables of the audit log: entries in order of arrival, their sequence index, the nodes of the Merkle tree, and
 * signed checkpoints. `@countersign/protocol` defines leaves and proofs; signing is not done here.
 */
import {
  appendLeaves,
  consistencyProof,
  type Hash,
  inclusionProof,
  leafHash,
  treeRoot,
} from "@countersign/protocol";
import type { NewEntry } from "../../audit/new-entry.ts";
import type { EntryRow } from "../row.ts";
import type { Log, LoggedEntry } from "../store.ts";
import type { Connection } from "./connection.ts";
import type { GroupCommit } from "./group-commit.ts";

/** Appends an entry within an open transaction. */
export type Append = (entry: EntryRow) => void;

export function createLogAppender(connection: Connection): Append {
  const addEntry = connection.prepare("INSERT INTO log_entry (id, line, request) VALUES (?, ?, ?)");
  const addText = connection.prepare("INSERT INTO log_text (entry, name, text, salt) VALUES (?, ?, ?, ?)");
  return ({ id, line, request, texts }) => {
    const { lastInsertRowid: arrival } = addEntry.run(id, line, request);
    for (const [name, { text, salt }] of Object.entries(texts)) addText.run(arrival, name, text, salt);
  };
}

type EntryRecord = { readonly arrival: number; readonly leaf_index: number | null; readonly line: string };
type TextRecord = { readonly name: string; readonly text: string; readonly salt: string };
type CheckpointRecord = { readonly size: number; readonly note: string };

export function createLog(connection: Connection, group: GroupCommit): Log {
  const entrySql = "SELECT arrival, leaf_index, line FROM log_entry";
  const selectSize = connection.prepare<{ size: number }>(
    "SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM log_entry",
  );
  const page = connection.prepare<EntryRecord>(
    `${entrySql} WHERE leaf_index >= ? ORDER BY leaf_index LIMIT ?`,
  );
  const newestOfAll = connection.prepare<EntryRecord>(`${entrySql} ORDER BY arrival DESC LIMIT ?`);
  const newestOf = connection.prepare<EntryRecord>(
    `${entrySql} WHERE request = ? ORDER BY arrival DESC LIMIT ?`,
  );
  const waiting = connection.prepare<EntryRecord>(
    `${entrySql} WHERE leaf_index IS NULL ORDER BY arrival LIMIT ?`,
  );
  const byId = connection.prepare<{ arrival: number }>("SELECT arrival FROM log_entry WHERE id = ?");
  const textsOf = connection.prepare<TextRecord>(
    "SELECT name, text, salt FROM log_text WHERE entry = ? ORDER BY name",
  );
  const eraseTextsOf = connection.prepare("DELETE FROM log_text WHERE entry = ?");
  const truncate = connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  const setIndex = connection.prepare("UPDATE log_entry SET leaf_index = ? WHERE arrival = ?");
  const nodeAt = connection.prepare<{ hash: Uint8Array }>(
    "SELECT hash FROM log_node WHERE level = ? AND idx = ?",
  );
  const addNode = connection.prepare("INSERT INTO log_node (level, idx, hash) VALUES (?, ?, ?)");
  const addCheckpoint = connection.prepare(
    "INSERT INTO checkpoint (size, note) VALUES (?, ?) ON CONFLICT (size, note) DO NOTHING",
  );
  const checkpointSql = "SELECT size, note FROM checkpoint";
  const selectCheckpoints = connection.prepare<CheckpointRecord>(`${checkpointSql} ORDER BY size, arrival`);
  const selectNewestCheckpoint = connection.prepare<CheckpointRecord>(
    `${checkpointSql} ORDER BY size DESC, arrival DESC LIMIT 1`,
  );

  const size = () => selectSize.get()!.size;

  function node(level: number, index: number): Hash {
    const row = nodeAt.get(level, index);
    if (!row) throw new Error(`the log's tree has no node ${index} at level ${level}`);
    return row.hash;
  }

  function requireSize(requested: number): number {
    if (requested <= size()) return requested;
    throw new Error(`the log has ${size()} sequenced entries, fewer than ${requested}`);
  }

  function toLoggedEntry({ arrival, leaf_index, line }: EntryRecord): LoggedEntry {
    const texts: { [name: string]: NewEntry["texts"][string] } = {};
    for (const { name, text, salt } of textsOf.all(arrival)) texts[name] = { text, salt };
    return { index: leaf_index ?? -1, line, texts };
  }

  function sequence(limit: number): number {
    const from = size();
    const entries = waiting.all(limit);
    const leaves = entries.map((entry) => leafHash(entry.line));
    for (const grown of appendLeaves(from, leaves, node)) addNode.run(grown.level, grown.index, grown.hash);
    entries.forEach((entry, offset) => {
      setIndex.run(from + offset, entry.arrival);
    });
    return from + entries.length;
  }

  return {
    size,
    entries: (from, limit) => page.all(from, limit).map(toLoggedEntry),
    newest: (limit, request) =>
      (request === undefined ? newestOfAll.all(limit) : newestOf.all(request, limit)).map(toLoggedEntry),
    hasEntry: (entryId) => byId.get(entryId) !== undefined,
    root: (of) => treeRoot(requireSize(of), node),
    inclusion: (index, of) => inclusionProof(index, requireSize(of), node),
    consistency: (oldSize, of) => consistencyProof(oldSize, requireSize(of), node),
    // Crashing before COMMIT leaves the entries unsequenced and the tree unchanged; after it, index and nodes are
    // stored.
    sequence: (limit) => group.submit(() => sequence(limit)),
    storeCheckpoint: (of, note) => group.submit(() => void addCheckpoint.run(requireSize(of), note)),
    checkpoints: () => selectCheckpoints.all().map((row) => ({ ...row })),
    newestCheckpoint: () => {
      const row = selectNewestCheckpoint.get();
      return row && { ...row };
    },
    eraseTexts: async (entryId) => {
      await group.submit(() => {
        const entry = byId.get(entryId);
        if (entry) eraseTextsOf.run(entry.arrival);
      });
      // The text is deleted from the tables; this removes it from the write-ahead log as well. A crash in
      // between, or a long-running read of another process, leaves a copy there until the next checkpoint of
      // the write-ahead log.
      truncate.get();
    },
  };
}
