/**
 * A SQLite store, copied whole into an empty PostgreSQL one: records with their versions, and the log to the byte, with
 * index, tree, checkpoints, and the texts that were not erased. The file is locked for as long as it takes, so that it
 * is one moment that is copied; the target is filled in one transaction, so that there is all of it or nothing.
 */
import { treeRoot } from "@countersign/protocol";
import { type Kind, tables } from "../record.ts";
import { openConnection } from "../sqlite/connection.ts";
import { openPool } from "./connection.ts";
import type { Run, Value } from "./link.ts";
import { migrate } from "./migrate.ts";
import { columnsOf, columnType } from "./schema.ts";

export type Copied = { readonly records: number; readonly entries: number };

type Table = {
  readonly name: string;
  /** Reads the columns below from SQLite, in the order in which they are to be written. */
  readonly from: string;
  readonly columns: readonly (readonly [name: string, type: "text" | "bigint" | "integer" | "hex"])[];
};

const page = 500;

/** Throws where the target holds anything already, and where the file is being written to. */
export async function copyToPostgres(
  path: string,
  { url, schema = "countersign" }: { readonly url: string; readonly schema?: string },
): Promise<Copied> {
  const source = openConnection(path);
  const pool = openPool({ url, max: 2 });
  try {
    // Nobody else writes until this ends; the server that still has it open answers 503 to whoever would.
    source.prepare("BEGIN IMMEDIATE").run();
    await migrate(pool, schema, true);
    return await pool.transaction(async (run) => {
      await run("BEGIN");
      const copied = { records: 0, entries: 0 };
      for (const table of allTables) {
        const target = `${schema}."${table.name}"`;
        await run(`LOCK TABLE ${target} IN EXCLUSIVE MODE`);
        if ((await run(`SELECT 1 FROM ${target} LIMIT 1`)).length > 0)
          throw new Error(`${pool.place} is not empty: a store is copied into an empty one`);
        const rows = source.prepare<Record<string, string | number | null>>(table.from).all();
        for (let at = 0; at < rows.length; at += page)
          await insert(run, target, table, rows.slice(at, at + page));
        if (table.name in tables) copied.records += rows.length;
        if (table.name === "log_entry") copied.entries = rows.length;
      }
      await sameRoot(run);
      await run("COMMIT");
      return copied;
    });
  } finally {
    if (source.inTransaction()) source.prepare("ROLLBACK").run();
    source.close();
    await pool.close();
  }

  /** The tree that arrived has the root of the one that left. */
  async function sameRoot(run: Run): Promise<void> {
    const { size } = source
      .prepare<{ size: number }>("SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM log_entry")
      .get()!;
    const there = await run<{ level: number; idx: number; hash: string }>(
      `SELECT level, idx, encode(hash, 'hex') AS hash FROM ${schema}.log_node`,
    );
    const hashes = new Map(there.map(({ level, idx, hash }) => [`${level}/${idx}`, hash]));
    const nodeHere = source.prepare<{ hash: Uint8Array }>(
      "SELECT hash FROM log_node WHERE level = ? AND idx = ?",
    );
    const here = treeRoot(size, (level, index) => nodeHere.get(level, index)!.hash);
    const arrived = treeRoot(size, (level, index) =>
      Buffer.from(hashes.get(`${level}/${index}`) ?? "", "hex"),
    );
    if (Buffer.compare(here, arrived) !== 0) throw new Error("the log's root changed on the way");
  }
}

async function insert(
  run: Run,
  target: string,
  { columns }: Table,
  rows: readonly Record<string, string | number | null>[],
): Promise<void> {
  const names = columns.map(([name]) => name).join(", ");
  const arrays = columns.map(([, type], at) => `$${at + 1}::${type === "hex" ? "text" : type}[]`).join(", ");
  const selected = columns
    .map(([name, type]) => (type === "hex" ? `decode(${name}, 'hex')` : name))
    .join(", ");
  await run(
    `INSERT INTO ${target} (${names}) SELECT ${selected}
     FROM unnest(${arrays}) WITH ORDINALITY AS row (${names}, at) ORDER BY at`,
    ...columns.map(([name]): Value => rows.map((row) => row[name] ?? null)),
  );
}

const recordTables = (Object.keys(tables) as Kind[]).map((kind): Table => {
  const more = columnsOf(kind).map((name) => [name, columnType(name)] as const);
  const columns = [
    ["id", "text"],
    ["version", "integer"],
    ["due_at", "bigint"],
    ...more,
    ["body", "text"],
  ] as const;
  return { name: kind, from: `SELECT ${columns.map(([name]) => name).join(", ")} FROM "${kind}"`, columns };
});

const allTables: readonly Table[] = [
  ...recordTables,
  {
    name: "waiting",
    from: "SELECT approver, approval FROM waiting",
    columns: [
      ["approver", "text"],
      ["approval", "text"],
    ],
  },
  {
    name: "log_entry",
    from: "SELECT id, line, request, leaf_index FROM log_entry ORDER BY arrival",
    columns: [
      ["id", "text"],
      ["line", "text"],
      ["request", "text"],
      ["leaf_index", "bigint"],
    ],
  },
  {
    name: "log_text",
    from: `SELECT log_entry.id AS entry, name, text, salt FROM log_text
      JOIN log_entry ON log_entry.arrival = log_text.entry`,
    columns: [
      ["entry", "text"],
      ["name", "text"],
      ["text", "text"],
      ["salt", "text"],
    ],
  },
  {
    name: "log_node",
    from: "SELECT level, idx, lower(hex(hash)) AS hash FROM log_node",
    columns: [
      ["level", "integer"],
      ["idx", "bigint"],
      ["hash", "hex"],
    ],
  },
  {
    name: "checkpoint",
    from: "SELECT size, note FROM checkpoint ORDER BY arrival",
    columns: [
      ["size", "bigint"],
      ["note", "text"],
    ],
  },
];
