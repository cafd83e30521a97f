/**
 * Copies a SQLite store into an empty PostgreSQL one: records with their versions, and the log byte for byte, with
 * index, tree, checkpoints and the texts that were not erased. The file is locked meanwhile, so the copy is of one
 * instant. The target is created and filled in one transaction, page by page: in the end it has everything, or not
 * even a table.
 */
import { treeRoot } from "@countersign/protocol";
import { definitions, kinds } from "../record/records.ts";
import { openConnection } from "../sqlite/connection.ts";
import { beginSql, type Run, type SqlValue } from "./connection.ts";
import { migrateInTransaction } from "./migrate.ts";
import { openPool } from "./pool.ts";
import { columnsOf, columnTypeOf } from "./schema.ts";

export type CopyResult = { readonly records: number; readonly entries: number };

type Cell = string | number | null;
type Row = Readonly<Record<string, Cell>>;

type CopiedTable = {
  readonly name: string;
  /** The SELECT on SQLite without its WHERE; returns all columns below. */
  readonly from: string;
  /** Columns that order the pages, as SQLite expressions; `from` selects them as `key_0`, `key_1`. */
  readonly key: readonly [string, ...string[]];
  readonly columns: readonly (readonly [name: string, type: "text" | "bigint" | "integer" | "hex"])[];
};

const pageSize = 500;

/** Copies the store at `path`. Throws if the target is not empty, or if the file is being written to. */
export async function copyToPostgres(
  path: string,
  { url, schema = "countersign" }: { readonly url: string; readonly schema?: string },
): Promise<CopyResult> {
  const source = openConnection(path);
  const pool = openPool({ url, maxConnections: 2 });
  try {
    // Lock out other writers: a server that still has the file open responds with 503 to writes.
    source.prepare("BEGIN IMMEDIATE").run();
    return await pool.transaction(async (run, script) => {
      await run(beginSql);
      await migrateInTransaction(run, script, schema);
      const copied = { records: 0, entries: 0 };
      for (const table of allTables) {
        const target = `${schema}."${table.name}"`;
        await run(`LOCK TABLE ${target} IN EXCLUSIVE MODE`);
        if ((await run(`SELECT 1 FROM ${target} LIMIT 1`)).length > 0)
          throw new Error(`${pool.redactedUrl} is not empty: the target of a copy must be an empty store`);
        let count = 0;
        for (const rows of readPages(table)) {
          await insertRows(run, target, table, rows);
          count += rows.length;
        }
        if (table.name in definitions) copied.records += count;
        if (table.name === "log_entry") copied.entries = count;
      }
      await verifyRoot(run);
      // Durability point. Crashing before COMMIT leaves the target and the file as they were.
      await run("COMMIT");
      return copied;
    });
  } finally {
    if (source.inTransaction()) source.prepare("ROLLBACK").run();
    source.close();
    await pool.close();
  }

  /** Reads the rows of a table, a page at a time. */
  function* readPages({ from, key }: CopiedTable): Generator<readonly Row[]> {
    const keys = key.join(", ");
    const ordered = `ORDER BY ${keys} LIMIT ${pageSize}`;
    const first = source.prepare<Row>(`${from} ${ordered}`);
    const next = source.prepare<Row>(
      `${from} WHERE (${keys}) > (${key.map(() => "?").join(", ")}) ${ordered}`,
    );
    for (let rows = first.all(); rows.length > 0; ) {
      yield rows;
      const last = rows.at(-1)!;
      rows = rows.length < pageSize ? [] : next.all(...key.map((_, at) => last[`key_${at}`]!));
    }
  }

  /** Throws if the root of the copied tree differs from that of the source. */
  async function verifyRoot(run: Run): Promise<void> {
    const { size } = source
      .prepare<{ size: number }>("SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM log_entry")
      .get()!;
    const sourceNode = source.prepare<{ hash: Uint8Array }>(
      "SELECT hash FROM log_node WHERE level = ? AND idx = ?",
    );
    const positions: [number, number][] = [];
    const sourceRoot = treeRoot(size, (level, index) => {
      positions.push([level, index]);
      return sourceNode.get(level, index)!.hash;
    });
    const targetNodes = await run<{ level: number; idx: number; hash: string }>(
      `SELECT level, idx, encode(hash, 'hex') AS hash FROM ${schema}.log_node
       JOIN unnest($1::integer[], $2::bigint[]) AS position (l, i) ON level = l AND idx = i`,
      positions.map(([level]) => level),
      positions.map(([, index]) => index),
    );
    const hashes = new Map(targetNodes.map(({ level, idx, hash }) => [`${level}/${idx}`, hash]));
    const targetRoot = treeRoot(size, (level, index) =>
      Buffer.from(hashes.get(`${level}/${index}`) ?? "", "hex"),
    );
    if (Buffer.compare(sourceRoot, targetRoot) !== 0)
      throw new Error("the root of the copied log differs from the source");
  }
}

async function insertRows(
  run: Run,
  target: string,
  { columns }: CopiedTable,
  rows: readonly Row[],
): Promise<void> {
  const names = columns.map(([name]) => name).join(", ");
  const arrays = columns.map(([, type], at) => `$${at + 1}::${type === "hex" ? "text" : type}[]`).join(", ");
  const selected = columns
    .map(([name, type]) => (type === "hex" ? `decode(${name}, 'hex')` : name))
    .join(", ");
  await run(
    `INSERT INTO ${target} (${names}) SELECT ${selected}
     FROM unnest(${arrays}) WITH ORDINALITY AS row (${names}, at) ORDER BY at`,
    ...columns.map(([name]): SqlValue => rows.map((row) => row[name] ?? null)),
  );
}

const recordTables = kinds.map((kind): CopiedTable => {
  const extraColumns = columnsOf(kind).map((name) => [name, columnTypeOf(name)] as const);
  const columns = [
    ["id", "text"],
    ["version", "integer"],
    ["due_at", "bigint"],
    ...extraColumns,
    ["body", "text"],
  ] as const;
  const from = `SELECT rowid AS key_0, ${columns.map(([name]) => name).join(", ")} FROM "${kind}"`;
  return { name: kind, from, key: ["rowid"], columns };
});

const allTables: readonly CopiedTable[] = [
  ...recordTables,
  {
    name: "waiting",
    from: "SELECT approver AS key_0, request AS key_1, approver, request FROM waiting",
    key: ["approver", "request"],
    columns: [
      ["approver", "text"],
      ["request", "text"],
    ],
  },
  {
    name: "log_entry",
    from: "SELECT arrival AS key_0, id, line, request, leaf_index FROM log_entry",
    key: ["arrival"],
    columns: [
      ["id", "text"],
      ["line", "text"],
      ["request", "text"],
      ["leaf_index", "bigint"],
    ],
  },
  {
    name: "log_text",
    from: `SELECT log_text.entry AS key_0, name AS key_1, log_entry.id AS entry, name, text, salt
      FROM log_text CROSS JOIN log_entry ON log_entry.arrival = log_text.entry`,
    key: ["log_text.entry", "name"],
    columns: [
      ["entry", "text"],
      ["name", "text"],
      ["text", "text"],
      ["salt", "text"],
    ],
  },
  {
    name: "log_node",
    from: "SELECT level AS key_0, idx AS key_1, level, idx, lower(hex(hash)) AS hash FROM log_node",
    key: ["level", "idx"],
    columns: [
      ["level", "integer"],
      ["idx", "bigint"],
      ["hash", "hex"],
    ],
  },
  {
    name: "checkpoint",
    from: "SELECT arrival AS key_0, size, note FROM checkpoint",
    key: ["arrival"],
    columns: [
      ["size", "bigint"],
      ["note", "text"],
    ],
  },
];
