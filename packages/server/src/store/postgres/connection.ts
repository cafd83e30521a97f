/**
 * One connection to the database, used once: when it is lost, whatever waits on it fails, and it is never opened again.
 * The driver would open it again by itself, and then send what belongs to a transaction that is gone, or nothing at all.
 */
import postgres from "postgres";

export type SqlValue = string | number | null | readonly (string | number | null)[];

/** Runs one statement. Statements of one `Promise.all` travel in one packet and are done in that order. */
export type Run = <R extends object>(sql: string, ...values: SqlValue[]) => Promise<R[]>;

/** Each statement sees what was committed before it, the locks that it waited for included, whatever the default is there. */
export const beginSql = "BEGIN ISOLATION LEVEL READ COMMITTED";

/** Runs several statements without values, as a migration has them. */
export type Script = (sql: string) => Promise<unknown>;

export type Connection = {
  readonly run: Run;
  readonly script: Script;
  /** How many statements have not been answered. */
  readonly pendingCount: () => number;
  /** Resolves when all have been. */
  readonly drain: () => Promise<void>;
  readonly isLost: () => boolean;
  readonly openedAt: number;
  /** Lets go of it; what waits on it fails. */
  readonly destroy: () => Promise<void>;
};

export type ConnectionOptions = {
  readonly url: string;
  /** Hears that it is lost, once, before those who wait on it do. */
  readonly onLost: () => void;
  readonly onNotification?: (payload: string) => void;
  readonly onConnection?: OnConnection | undefined;
};

/** What becomes of connections, for whoever counts: `failed` to be made, or `lost` while it was wanted. */
export type OnConnection = (event: "opened" | "lost" | "failed") => void;

/** Milliseconds. A statement that takes longer is a fault: every one of ours is answered by an index. */
const statementTimeoutMs = 10_000;
/** Between the statements of a transaction there is nothing to wait for: a node that stands still lets go of its locks. */
const idleInTransactionTimeoutMs = 5_000;
/** A database that says nothing for so long while it is asked something is not there, whatever TCP believes. */
export const responseTimeoutMs = statementTimeoutMs + 5_000;
export const connectTimeoutSeconds = 5;

/** Rejects with the driver's error where there is no connection to be had. */
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
    // Asked by the driver for itself, and rejected with nobody to hear it where the connection is lost meanwhile: the
    // process would end. All that it needs the types for is lists, which are written here.
    fetch_types: false,
    onnotice: () => {},
    onclose: () => void handleLoss(),
    onnotify: (_channel: string, payload: string) => onNotification?.(payload),
    types: {
      // Instants and counts: all of them are safe integers.
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

  /** Nobody here let go of it. */
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

  // A connection that is broken off while it is made may never say so: what waits for it is held to a time as well.
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

/** A list as PostgreSQL reads one (its manual, "Array Input and Output Syntax"). */
function encodeParameter(value: SqlValue): string | number | null {
  if (value === null || typeof value !== "object") return value;
  const items = value.map((item) => (item === null ? "NULL" : `"${String(item).replace(/[\\"]/g, "\\$&")}"`));
  return `{${items.join(",")}}`;
}

/** Left to itself the driver has what takes no values parsed and planned each time. */
function queryOptions(text: string): postgres.UnsafeQueryOptions & { readonly simple?: false } {
  return text.startsWith("SELECT") ? { prepare: true, simple: false } : { prepare: true };
}

function createLostError(): Error {
  return Object.assign(new Error("the connection was lost"), { code: "CONNECTION_CLOSED" });
}
