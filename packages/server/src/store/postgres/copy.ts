/**
 * A SQLite store, copied whole into an empty PostgreSQL one: records with their versions, and the log to the byte, with
 * index, tree, checkpoints, and the texts that were not erased. The file is locked for as long as it takes, so that it
 * is one moment that is copied. The target is made and filled in one transaction, page after page: there is all of it in
 * the end, or not even a table.
 */
import { treeRoot } from "@countersign/protocol";
import { type Kind, tables } from "../record.ts";
import { openConnection } from "../sqlite/connection.ts";
import { openPool } from "./connection.ts";
import { begin, type Run, type Value } from "./link.ts";
import { migrateWithin } from "./migrate.ts";
import { columnsOf, columnType } from "./schema.ts";

export type Copied = { readonly records: number; readonly entries: number };

type Cell = string | number | null;
type Row = Readonly<Record<string, Cell>>;

type Table = {
  readonly name: string;
  /** What SQLite reads, up to its WHERE, with all columns below. */
  readonly from: string;
  /** By what the pages are told apart, as SQLite knows it: expressions that `from` reads as `key_0`, `key_1`. */
  readonly key: readonly [string, ...string[]];
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
    return await pool.transaction(async (run, script) => {
      await run(begin);
      await migrateWithin(run, script, schema);
      const copied = { records: 0, entries: 0 };
      for (const table of allTables) {
        const target = `${schema}."${table.name}"`;
        await run(`LOCK TABLE ${target} IN EXCLUSIVE MODE`);
        if ((await run(`SELECT 1 FROM ${target} LIMIT 1`)).length > 0)
          throw new Error(`${pool.place} is not empty: a store is copied into an empty one`);
        let count = 0;
        for (const rows of pagesOf(table)) {
          await insert(run, target, table, rows);
          count += rows.length;
        }
        if (table.name in tables) copied.records += count;
        if (table.name === "log_entry") copied.entries = count;
      }
      await sameRoot(run);
      // Durability point. Crashing before COMMIT leaves nothing of it there, and the file as it was.
      await run("COMMIT");
      return copied;
    });
  } finally {
    if (source.inTransaction()) source.prepare("ROLLBACK").run();
    source.close();
    await pool.close();
  }

  /** Each page begins after the last row of the one before. */
  function* pagesOf({ from, key }: Table): Generator<readonly Row[]> {
    const keys = key.join(", ");
    const ordered = `ORDER BY ${keys} LIMIT ${page}`;
    const first = source.prepare<Row>(`${from} ${ordered}`);
    const next = source.prepare<Row>(
      `${from} WHERE (${keys}) > (${key.map(() => "?").join(", ")}) ${ordered}`,
    );
    for (let rows = first.all(); rows.length > 0; ) {
      yield rows;
      const last = rows.at(-1)!;
      rows = rows.length < page ? [] : next.all(...key.map((_, at) => last[`key_${at}`]!));
    }
  }

  /** The tree that arrived has the root of the one that left. */
  async function sameRoot(run: Run): Promise<void> {
    const { size } = source
      .prepare<{ size: number }>("SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM log_entry")
      .get()!;
    const nodeHere = source.prepare<{ hash: Uint8Array }>(
      "SELECT hash FROM log_node WHERE level = ? AND idx = ?",
    );
    const places: [number, number][] = [];
    const here = treeRoot(size, (level, index) => {
      places.push([level, index]);
      return nodeHere.get(level, index)!.hash;
    });
    const there = await run<{ level: number; idx: number; hash: string }>(
      `SELECT level, idx, encode(hash, 'hex') AS hash FROM ${schema}.log_node
       JOIN unnest($1::integer[], $2::bigint[]) AS wanted (l, i) ON level = l AND idx = i`,
      places.map(([level]) => level),
      places.map(([, index]) => index),
    );
    const hashes = new Map(there.map(({ level, idx, hash }) => [`${level}/${idx}`, hash]));
    const arrived = treeRoot(size, (level, index) =>
      Buffer.from(hashes.get(`${level}/${index}`) ?? "", "hex"),
    );
    if (Buffer.compare(here, arrived) !== 0) throw new Error("the log's root changed on the way");
  }
}

async function insert(run: Run, target: string, { columns }: Table, rows: readonly Row[]): Promise<void> {
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
  const from = `SELECT rowid AS key_0, ${columns.map(([name]) => name).join(", ")} FROM "${kind}"`;
  return { name: kind, from, key: ["rowid"], columns };
});

const allTables: readonly Table[] = [
  ...recordTables,
  {
    name: "waiting",
    from: "SELECT approver AS key_0, approval AS key_1, approver, approval FROM waiting",
    key: ["approver", "approval"],
    columns: [
      ["approver", "text"],
      ["approval", "text"],
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
