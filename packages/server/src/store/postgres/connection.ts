/**
 * One connection to the database. When it is lost, all its pending statements fail, and it is not reopened: the
 * driver would reconnect by itself and send the rest of a lost transaction.
 */
import postgres from "postgres";

export type SqlValue = string | number | null | readonly (string | number | null)[];

/** Runs one statement. Statements of one `Promise.all` are pipelined and run in that order. */
export type Run = <R extends object>(sql: string, ...values: SqlValue[]) => Promise<R[]>;

/**
 * Each statement sees what was committed before it, after waiting for locks, whatever the default isolation level of
 * the database is.
 */
export const beginSql = "BEGIN ISOLATION LEVEL READ COMMITTED";

/** Runs several statements without parameters. */
export type Script = (sql: string) => Promise<unknown>;

export type Connection = {
  readonly run: Run;
  readonly script: Script;
  /** Returns the number of statements without a response. */
  readonly pendingCount: () => number;
  /** Resolves when all pending statements have a response. */
  readonly drain: () => Promise<void>;
  readonly isLost: () => boolean;
  readonly openedAt: number;
  /** Closes the connection; pending statements reject. */
  readonly destroy: () => Promise<void>;
};

export type ConnectionOptions = {
  readonly url: string;
  /** Called once when the connection is lost or closed, before its pending statements reject. */
  readonly onLost: () => void;
  readonly onNotification?: (payload: string) => void;
  readonly onConnection?: OnConnection | undefined;
};

/** Connection events: `failed` to open, or `lost` while in use. */
export type OnConnection = (event: "opened" | "lost" | "failed") => void;

/** A statement that takes longer is a bug: every statement is served by an index. */
const statementTimeoutMs = 10_000;
/** Releases the locks of a node that hangs within a transaction. */
const idleInTransactionTimeoutMs = 5_000;
/**
 * Without a response for this time while statements are pending, the connection counts as lost, whatever TCP reports.
 */
export const responseTimeoutMs = statementTimeoutMs + 5_000;
export const connectTimeoutSeconds = 5;

/** Opens a connection. Rejects with the error of the driver if that fails. */
export async function openConnection({
  url,
  onLost,
  onNotification,
  onConnection,
}: ConnectionOptions): Promise<Connection> {
  const pending = new Set<(error: unknown) => void>();
  const drainWaiters: (() => void)[] = [];
  let lost = false;
  let opened = false;
  let watchdog: NodeJS.Timeout | undefined;

  const settings = {
    max: 1,
    connect_timeout: connectTimeoutSeconds,
    max_lifetime: null,
    // The query of the driver for types would reject without a handler if the connection is lost meanwhile, and
    // end the process. Types are needed only for arrays, which are encoded here.
    fetch_types: false,
    onnotice: () => {},
    onclose: () => void handleLoss(),
    onnotify: (_channel: string, payload: string) => onNotification?.(payload),
    types: {
      // Times and counts, all of them safe integers.
      bigint: { to: 20, from: [20], parse: Number, serialize: String },
    },
    connection: {
      application_name: "countersign",
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    },
  };
  const sql = postgres(url, settings);

  async function destroy(): Promise<void> {
    if (lost) return;
    lost = true;
    clearTimeout(watchdog);
    onLost();
    for (const reject of [...pending]) reject(createLostError());
    await sql.end({ timeout: 0 });
  }

  /** Called when the connection was closed from outside, or does not respond. */
  async function handleLoss(): Promise<void> {
    if (opened && !lost) onConnection?.("lost");
    await destroy();
  }

  function removePending(reject: (error: unknown) => void): void {
    pending.delete(reject);
    if (pending.size > 0) watchdog?.refresh();
    else {
      clearTimeout(watchdog);
      for (const drain of drainWaiters.splice(0)) drain();
    }
  }

  function send<T>(query: () => PromiseLike<unknown>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (lost) return reject(createLostError());
      const fail = (error: unknown) => {
        removePending(fail);
        reject(error);
      };
      if (pending.size === 0) watchdog = setTimeout(() => void handleLoss(), responseTimeoutMs).unref();
      pending.add(fail);
      query().then((rows) => {
        removePending(fail);
        resolve(rows as T);
      }, fail);
    });
  }

  // The driver may not report a connection that breaks while it is opened, so this is bounded as well.
  const connectTimer = setTimeout(() => void destroy(), (connectTimeoutSeconds + 1) * 1_000);
  let reserved: postgres.ReservedSql;
  try {
    await send(() => sql.unsafe("SELECT 1"));
    reserved = await send(() => sql.reserve());
  } catch (error) {
    onConnection?.("failed");
    await destroy();
    throw error;
  } finally {
    clearTimeout(connectTimer);
  }
  opened = true;
  onConnection?.("opened");

  return {
    run: (text, ...values) =>
      send(() => reserved.unsafe(text, values.map(encodeParameter), queryOptions(text))),
    script: (text) => send(() => reserved.unsafe(text)),
    pendingCount: () => pending.size,
    drain: () =>
      pending.size === 0 ? Promise.resolve() : new Promise((resolve) => void drainWaiters.push(resolve)),
    isLost: () => lost,
    openedAt: performance.now(),
    destroy,
  };
}

/** Encodes a list as an array literal (PostgreSQL manual, "Array Input and Output Syntax"). */
function encodeParameter(value: SqlValue): string | number | null {
  if (value === null || typeof value !== "object") return value;
  const items = value.map((item) => (item === null ? "NULL" : `"${String(item).replace(/[\\"]/g, "\\$&")}"`));
  return `{${items.join(",")}}`;
}

/** By default, the driver does not prepare statements without parameters. */
function queryOptions(text: string): postgres.UnsafeQueryOptions & { readonly simple?: false } {
  return text.startsWith("SELECT") ? { prepare: true, simple: false } : { prepare: true };
}

function createLostError(): Error {
  return Object.assign(new Error("the connection was lost"), { code: "CONNECTION_CLOSED" });
}
