/**
 * Tables of the audit log: entries in order of arrival, their sequence index, the nodes of the Merkle tree, and
 * signed checkpoints. One node sequences at a time. An entry that depends on another arrives after it, because its
 * change was decided after the other was committed.
 */
import {
  appendLeaves,
  consistencyProof,
  type Hash,
  inclusionProof,
  leafHash,
  type NodeReader,
  treeRoot,
} from "@countersign/protocol";
import type { NewEntry } from "../../audit/new-entry.ts";
import type { Log, LoggedEntry } from "../store.ts";
import { beginSql, type Run } from "./connection.ts";
import type { Pool } from "./pool.ts";

type EntryRow = {
  readonly id: string;
  readonly leaf_index: number | null;
  readonly line: string;
  readonly texts: Readonly<Record<string, NewEntry["texts"][string]>> | null;
};
type CheckpointRow = { readonly size: number; readonly note: string };

/** Advisory lock key; arbitrary, but unique within the database. */
const sequencerLock = 4_353_474_002;

export function createLog({ run, transaction }: Pool, schema: string): Log {
  const entries = `SELECT entry.id, leaf_index, line,
      (SELECT json_object_agg(name, json_build_object('text', text, 'salt', salt))
         FROM ${schema}.log_text WHERE log_text.entry = entry.id) AS texts
    FROM ${schema}.log_entry AS entry`;
  const sizeSql = `SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM ${schema}.log_entry`;
  const checkpoints = `SELECT size, note FROM ${schema}.checkpoint`;
  const nodesSql = `SELECT level, idx, encode(hash, 'hex') AS hash FROM ${schema}.log_node
    JOIN unnest($1::integer[], $2::bigint[]) AS position (l, i) ON level = l AND idx = i`;

  const readSize = async (on: Run) => (await on<{ size: number }>(sizeSql))[0]!.size;

  async function requireSize(requested: number): Promise<number> {
    const size = await readSize(run);
    if (requested <= size) return requested;
    throw new Error(`the log has ${size} sequenced entries, fewer than ${requested}`);
  }

  /**
   * Runs `compute` twice. Which nodes it reads depends on positions alone, so the first run, with placeholder hashes,
   * collects what to fetch.
   */
  async function withNodes<T>(on: Run, compute: (node: NodeReader) => T): Promise<T> {
    const requested = new Map<string, readonly [number, number]>();
    const placeholder = new Uint8Array(32);
    compute((level, index) => {
      requested.set(`${level}/${index}`, [level, index]);
      return placeholder;
    });
    const positions = [...requested.values()];
    const hashes = new Map<string, Hash>();
    if (positions.length > 0)
      for (const { level, idx, hash } of await on<{ level: number; idx: number; hash: string }>(
        nodesSql,
        positions.map(([level]) => level),
        positions.map(([, index]) => index),
      ))
        hashes.set(`${level}/${idx}`, new Uint8Array(Buffer.from(hash, "hex")));
    return compute((level, index) => {
      const hash = hashes.get(`${level}/${index}`);
      if (!hash) throw new Error(`the log's tree has no node ${index} at level ${level}`);
      return hash;
    });
  }

  async function sequence(limit: number): Promise<number> {
    // Take no lock and begin no transaction if nothing waits: the usual case.
    const [current] = await run<{ size: number; waiting: string | null }>(
      `SELECT size, waiting FROM (${sizeSql}) AS counted
       LEFT JOIN (SELECT 'some' AS waiting FROM ${schema}.log_entry WHERE leaf_index IS NULL LIMIT 1) AS first ON true`,
    );
    if (current!.waiting === null) return current!.size;
    return await transaction(async (on) => {
      const [, , [counted], waiting] = await Promise.all([
        on(beginSql),
        on("SELECT pg_advisory_xact_lock($1::bigint)", sequencerLock),
        on<{ size: number }>(sizeSql),
        on<{ arrival: number; line: string }>(
          `SELECT arrival, line FROM ${schema}.log_entry WHERE leaf_index IS NULL ORDER BY arrival LIMIT $1`,
          limit,
        ),
      ]);
      const from = counted!.size;
      if (waiting.length > 0) {
        const leaves = waiting.map(({ line }) => leafHash(line));
        const newNodes = await withNodes(on, (node) => appendLeaves(from, leaves, node));
        await Promise.all([
          on(
            `INSERT INTO ${schema}.log_node (level, idx, hash)
             SELECT level, idx, decode(hash, 'hex') FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS node (level, idx, hash)`,
            newNodes.map(({ level }) => level),
            newNodes.map(({ index }) => index),
            newNodes.map(({ hash }) => Buffer.from(hash).toString("hex")),
          ),
          on(
            `UPDATE ${schema}.log_entry SET leaf_index = assigned.leaf_index
             FROM unnest($1::bigint[], $2::bigint[]) AS assigned (arrival, leaf_index)
             WHERE log_entry.arrival = assigned.arrival`,
            waiting.map(({ arrival }) => arrival),
            waiting.map((_, offset) => from + offset),
          ),
        ]);
      }
      // Crashing before COMMIT leaves the entries unsequenced and the tree unchanged; after it, index and nodes
      // are stored.
      await on("COMMIT");
      return from + waiting.length;
    });
  }

  return {
    size: () => readSize(run),
    entries: async (from, limit) =>
      (
        await run<EntryRow>(`${entries} WHERE leaf_index >= $1 ORDER BY leaf_index LIMIT $2`, from, limit)
      ).map(toLoggedEntry),
    newest: async (limit, request) =>
      (request === undefined
        ? await run<EntryRow>(`${entries} ORDER BY arrival DESC LIMIT $1`, limit)
        : await run<EntryRow>(`${entries} WHERE request = $1 ORDER BY arrival DESC LIMIT $2`, request, limit)
      ).map(toLoggedEntry),
    hasEntry: async (entryId) =>
      (await run(`SELECT 1 AS there FROM ${schema}.log_entry WHERE id = $1`, entryId)).length > 0,
    root: async (of) => {
      const size = await requireSize(of);
      return await withNodes(run, (node) => treeRoot(size, node));
    },
    inclusion: async (index, of) => {
      const size = await requireSize(of);
      return await withNodes(run, (node) => inclusionProof(index, size, node));
    },
    consistency: async (oldSize, of) => {
      const size = await requireSize(of);
      return await withNodes(run, (node) => consistencyProof(oldSize, size, node));
    },
    sequence,
    storeCheckpoint: async (of, note) => {
      await requireSize(of);
      await run(
        `INSERT INTO ${schema}.checkpoint (size, note) VALUES ($1, $2) ON CONFLICT (size, note) DO NOTHING`,
        of,
        note,
      );
    },
    // Copied into a plain array: the result of the driver has further properties.
    checkpoints: async () => [...(await run<CheckpointRow>(`${checkpoints} ORDER BY size, arrival`))],
    newestCheckpoint: async () =>
      (await run<CheckpointRow>(`${checkpoints} ORDER BY size DESC, arrival DESC LIMIT 1`))[0],
    eraseTexts: async (entryId) => {
      await run(`DELETE FROM ${schema}.log_text WHERE entry = $1`, entryId);
    },
  };
}

function toLoggedEntry({ leaf_index, line, texts }: EntryRow): LoggedEntry {
  return { index: leaf_index ?? -1, line, texts: texts ?? {} };
}
