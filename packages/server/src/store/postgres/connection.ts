/**
 * The database as one pool of connections: statements that are prepared once, transactions whose statements travel
 * together, and the words for what is wrong. Whatever the driver throws leaves here as an `Error` that names the
 * database without its password, with the driver's own error as its cause.
 */
import postgres from "postgres";
import { MissingStore } from "../missing.ts";

/** No booleans: the driver takes a list of them for one. */
export type Value = string | number | null | readonly (string | number | null)[];

/** Runs one statement. Statements of one `Promise.all` travel in one packet and are done in that order. */
export type Run = <R extends object>(sql: string, ...values: Value[]) => Promise<R[]>;

/** Runs several statements without values, as a migration has them. */
export type Script = (sql: string) => Promise<unknown>;

export type Pool = {
  /** The database, for people: without account and password. */
  readonly place: string;
  readonly run: Run;
  /** One transaction (READ COMMITTED). `begin` is to be sent with the first statements; commit and rollback are not. */
  readonly transaction: <T>(work: (run: Run, script: Script) => Promise<T>) => Promise<T>;
  /** Calls back for each notification, and `opened` each time that listening begins or begins again. */
  readonly listen: (channel: string, heard: (payload: string) => void, opened: () => void) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type PoolOptions = {
  readonly url: string;
  /** Connections of this node. */
  readonly max?: number;
};

/** Milliseconds. A statement that takes longer is a fault: every one of ours is answered by an index. */
const statementMs = 10_000;
const connectSeconds = 5;

export function openPool({ url, max = 10 }: PoolOptions): Pool {
  const place = placeOf(url);
  const sql = postgres(url, {
    max,
    connect_timeout: connectSeconds,
    // Long enough to be worth it, short enough to find a new primary, or certificates that were renewed.
    max_lifetime: 1_800,
    onnotice: () => {},
    types: {
      // Instants and counts: all of them are safe integers.
      bigint: { to: 20, from: [20], parse: Number, serialize: String },
    },
    connection: {
      application_name: "countersign",
      statement_timeout: statementMs,
      idle_in_transaction_session_timeout: statementMs,
    },
  });
  let closed = false;

  async function attempt<T>(work: () => Promise<T>): Promise<T> {
    if (closed) throw new Error(`${place}: the store is closed`);
    try {
      return await work();
    } catch (cause) {
      throw cause instanceof StoreError || cause instanceof MissingStore
        ? cause
        : new StoreError(place, cause);
    }
  }

  const runOn =
    (on: postgres.Sql | postgres.ReservedSql): Run =>
    (text, ...values) =>
      on.unsafe(text, values as postgres.ParameterOrJSON<never>[], {
        prepare: true,
      }) as unknown as Promise<never>;
  const run = runOn(sql);

  return {
    place,
    run: (text, ...values) => attempt(() => run(text, ...values)),
    transaction: (work) =>
      attempt(async () => {
        const reserved = await sql.reserve();
        const within = runOn(reserved);
        try {
          return await work(within, (text) => reserved.unsafe(text));
        } catch (error) {
          // Harmless where nothing was begun; where the connection is gone, so is the transaction.
          await reserved.unsafe("ROLLBACK").catch(() => {});
          throw error;
        } finally {
          reserved.release();
        }
      }),
    listen: async (channel, heard, opened) => {
      await attempt(() => sql.listen(channel, heard, opened));
    },
    close: async () => {
      closed = true;
      await sql.end({ timeout: 5 });
    },
  };
}

/** What the driver or the database said, and whether it says something about one change, or about the connection. */
export class StoreError extends Error {
  /** The SQLSTATE, or the driver's or the system's own code. */
  readonly code: string;

  constructor(place: string, cause: unknown) {
    const { message, code = "" } = cause as { message?: string; code?: string };
    super(`${place}: ${reasons[code] ?? message ?? String(cause)}`, { cause });
    this.name = "StoreError";
    this.code = code;
  }

  /** Something of this change is not possible beside what is there: it fails alone. */
  get aboutChange(): boolean {
    return this.code.startsWith("23") || this.code.startsWith("22");
  }

  /** Two transactions met; the same can be tried again (serialization failure, deadlock). */
  get transient(): boolean {
    return this.code === "40001" || this.code === "40P01";
  }
}

const reasons: { readonly [code: string]: string | undefined } = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  CONNECT_TIMEOUT: `no connection within ${connectSeconds} seconds`,
  CONNECTION_CLOSED: "the connection was lost",
  CONNECTION_ENDED: "the store is closed",
  "25006": "it is read-only at the moment (a standby, or a full disk?)",
  "28P01": "the password is wrong",
  "28000": "this account may not connect",
  "3D000": "there is no such database",
  "42501": "this account may not do that (it needs CREATE on the database once, for the schema)",
  "53100": "the disk is full",
  "53300": "it has too many connections",
  "57P01": "it is being shut down",
  "57P02": "it has crashed and is starting again",
  "57P03": "it is starting, and takes no connections yet",
};

/** The database, for people: without account and password. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `postgres://${host}${pathname}`;
}
