/** A PostgreSQL server for the benchmark, with fsync, and a meter of the database cost of a piece of work. */
import { readdirSync, readFileSync } from "node:fs";
import { type PostgresServer, startPostgres } from "@countersign/testing/process/postgres";
import postgres from "postgres";
import { cpuSeconds } from "./load.ts";

export type Cost = {
  /** Number of executions by normalised statement, including BEGIN and COMMIT. */
  readonly statements: ReadonlyMap<string, number>;
  readonly walBytes: number;
  /** CPU seconds of all its processes. */
  readonly cpuSeconds: number;
};

export type Database = PostgresServer & {
  /** Measures the cost of `work`. The database must not be used by others meanwhile. */
  readonly measure: (work: () => Promise<unknown>) => Promise<Cost>;
  /** Returns the bytes on disk of matching relations, with their indexes. */
  readonly sizes: () => Promise<ReadonlyMap<string, number>>;
};

export async function startDatabase(): Promise<Database> {
  const server = await startPostgres({
    shared_preload_libraries: "pg_stat_statements",
    max_connections: "100",
    shared_buffers: "256MB",
    max_wal_size: "4GB",
  });
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  await sql`CREATE EXTENSION pg_stat_statements`;

  const wal = async () =>
    Number((await sql`SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes`)[0]!.bytes);

  return {
    ...server,
    measure: async (work) => {
      await sql`SELECT pg_stat_statements_reset()`;
      const [walBefore, cpuBefore] = [await wal(), familyCpuSeconds(server.pid()!)];
      await work();
      const [walAfter, cpuAfter] = [await wal(), familyCpuSeconds(server.pid()!)];
      const rows =
        await sql`SELECT query, sum(calls)::float8 AS calls FROM pg_stat_statements GROUP BY query`;
      const own = /pg_stat_statements|pg_current_wal/;
      const measured = rows.filter(({ query }) => !own.test(query));
      return {
        statements: new Map(measured.map(({ query, calls }) => [String(query), Number(calls)])),
        walBytes: walAfter - walBefore,
        cpuSeconds: cpuAfter - cpuBefore,
      };
    },
    sizes: async () => {
      const rows =
        await sql`SELECT relname AS name, pg_total_relation_size(oid)::float8 AS bytes FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'countersign'::regnamespace`;
      return new Map(rows.map(({ name, bytes }) => [String(name), Number(bytes)]));
    },
    discard: async () => {
      await sql.end();
      await server.discard();
    },
  };
}

/** Returns the number of executed statements whose text matches. */
export function countStatements({ statements }: Cost, pattern = /(?:)/): number {
  return [...statements].reduce((sum, [query, count]) => sum + (pattern.test(query) ? count : 0), 0);
}

/** Returns the CPU seconds of a process and its children. Ended children are not counted; backends live as long as their sessions. */
function familyCpuSeconds(pid: number): number {
  const children = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && readParentPid(name) === pid);
  return [pid, ...children.map(Number)].map(cpuSeconds).reduce((sum, one) => sum + (one || 0), 0);
}

function readParentPid(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}
