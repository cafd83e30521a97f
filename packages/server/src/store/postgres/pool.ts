/**
 * Connection pool: prepared statements, pipelined transactions and error messages. Errors of the driver are rethrown
 * as an `Error` that names the database without its password, with the original as `cause`.
 */
import { StoreNotFoundError } from "../store-not-found-error.ts";
import {
  type Connection,
  connectTimeoutSeconds,
  type OnConnection,
  openConnection,
  type Run,
  type Script,
  type SqlValue,
} from "./connection.ts";
import { listen } from "./listen.ts";

export type Pool = {
  /** The URL of the database for messages: without account and password. */
  readonly redactedUrl: string;
  readonly run: Run;
  /**
   * Runs a transaction on an exclusive connection. `work` sends `beginSql` with its first and COMMIT with its last
   * statements. Rolls back if `work` rejects.
   */
  readonly transaction: <T>(work: (run: Run, script: Script) => Promise<T>) => Promise<T>;
  /** Calls `onPayload` for each notification, and `onListening` each time listening starts or restarts. */
  readonly listen: (
    channel: string,
    onPayload: (payload: string) => void,
    onListening: () => void,
  ) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type PoolOptions = {
  readonly url: string;
  /** Maximum number of connections, besides the listening one. Default 10. */
  readonly maxConnections?: number;
  readonly onConnection?: OnConnection;
};

/** Connections are replaced after this time, to find a new primary and renewed certificates. */
const maxLifetimeMs = 1_800_000;

const readOnlySqlState = "25006";

type PooledConnection = { readonly connection: Connection; exclusive: boolean };

export function openPool({ url, maxConnections = 10, onConnection }: PoolOptions): Pool {
  const redactedUrl = redactUrl(url);
  const members = new Set<PooledConnection>();
  const waiters: PromiseWithResolvers<void>[] = [];
  const listeners: { readonly stop: () => Promise<void> }[] = [];
  let opening = 0;
  let closed = false;

  async function wrapErrors<T>(work: () => Promise<T>): Promise<T> {
    if (closed) throw new Error(`${redactedUrl}: the store is closed`);
    try {
      return await work();
    } catch (cause) {
      throw cause instanceof StoreError || cause instanceof StoreNotFoundError
        ? cause
        : new StoreError(redactedUrl, cause);
    }
  }

  /** Wakes all waiters; each checks again. */
  function wakeWaiters(): void {
    for (const { resolve } of waiters.splice(0)) resolve();
  }

  async function open(): Promise<PooledConnection> {
    opening += 1;
    try {
      let member: PooledConnection | undefined;
      const onLost = () => {
        if (member) members.delete(member);
        wakeWaiters();
      };
      member = { connection: await openConnection({ url, onLost, onConnection }), exclusive: false };
      if (closed) await member.connection.destroy();
      else members.add(member);
      return member;
    } catch (error) {
      // No connection exists and none can be opened: fail all waiters now instead of a few at a time.
      if (members.size === 0) for (const { reject } of waiters.splice(0)) reject(error);
      throw error;
    } finally {
      opening -= 1;
      wakeWaiters();
    }
  }

  /** Returns the least busy shared connection. */
  function findLeastBusy(): PooledConnection | undefined {
    let least: PooledConnection | undefined;
    for (const member of members) {
      if (member.exclusive) continue;
      if (
        member.connection.pendingCount() === 0 &&
        performance.now() - member.connection.openedAt > maxLifetimeMs
      ) {
        void member.connection.destroy();
        continue;
      }
      if (!least || member.connection.pendingCount() < least.connection.pendingCount()) least = member;
      if (least.connection.pendingCount() === 0) return least;
    }
    return least;
  }

  /** Returns a connection to share. Opens another only if all are busy. */
  async function acquireShared(): Promise<PooledConnection> {
    for (;;) {
      const member = findLeastBusy();
      if (member && (member.connection.pendingCount() === 0 || members.size + opening >= maxConnections))
        return member;
      if (members.size + opening < maxConnections) return await open();
      const waiter = Promise.withResolvers<void>();
      waiters.push(waiter);
      await waiter.promise;
    }
  }

  /** Returns an idle connection that is not shared until `release`. */
  async function acquireExclusive(): Promise<PooledConnection> {
    for (;;) {
      const member = await acquireShared();
      // Another caller may have made it exclusive in the meantime.
      if (member.exclusive) continue;
      member.exclusive = true;
      await member.connection.drain();
      if (!member.connection.isLost()) return member;
    }
  }

  function release(member: PooledConnection): void {
    member.exclusive = false;
    wakeWaiters();
  }

  return {
    redactedUrl,
    run: (text, ...values) =>
      wrapErrors(async () => {
        const idle = findLeastBusy();
        const { connection } = idle?.connection.pendingCount() === 0 ? idle : await acquireShared();
        return await connection.run(text, ...values);
      }),
    transaction: (work) =>
      wrapErrors(async () => {
        const member = await acquireExclusive();
        const { run, script, isLost } = member.connection;
        const runChecked: Run = async <R extends object>(text: string, ...values: SqlValue[]) => {
          const rows = await run<R>(text, ...values);
          // If the driver retried a statement after the COMMIT, its failure would be hidden.
          if (text === "COMMIT" && "command" in rows && rows.command !== "COMMIT")
            throw new Error("the transaction was rolled back");
          return rows;
        };
        try {
          return await work(runChecked, script);
        } catch (error) {
          // No effect if nothing was begun. If the connection is lost, so is the transaction.
          if (!isLost()) await script("ROLLBACK").catch(() => member.connection.destroy());
          // The primary was demoted: a new connection may reach the new one.
          if ((error as { code?: unknown }).code === readOnlySqlState) await member.connection.destroy();
          throw error;
        } finally {
          release(member);
        }
      }),
    listen: async (channel, onPayload, onListening) => {
      await wrapErrors(
        async () => void listeners.push(await listen(url, channel, onPayload, onListening, onConnection)),
      );
    },
    close: async () => {
      closed = true;
      await Promise.all(listeners.map(({ stop }) => stop()));
      await Promise.all(
        [...members].map(async ({ connection }) => {
          await connection.drain();
          await connection.destroy();
        }),
      );
    },
  };
}

/** An error of the driver or the database. Tells errors of one change from errors of the connection. */
export class StoreError extends Error {
  /** SQLSTATE, or the code of the driver or the system. */
  readonly code: string;

  constructor(redactedUrl: string, cause: unknown) {
    const { message, code = "" } = cause as { message?: string; code?: string };
    super(`${redactedUrl}: ${reasons[code] ?? message ?? String(cause)}`, { cause });
    this.name = "StoreError";
    this.code = code;
  }

  /** True for integrity and data errors (SQLSTATE classes 23 and 22): the change fails alone. */
  get isChangeError(): boolean {
    return this.code.startsWith("23") || this.code.startsWith("22");
  }

  /** True for serialization failures and deadlocks: the transaction can be retried. */
  get isTransient(): boolean {
    return this.code === "40001" || this.code === "40P01";
  }
}

const reasons: { readonly [code: string]: string | undefined } = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "host not found",
  CONNECT_TIMEOUT: `no connection within ${connectTimeoutSeconds} seconds`,
  CONNECTION_CLOSED: "the connection was lost",
  ECONNRESET: "the connection was lost",
  EPIPE: "the connection was lost",
  CONNECTION_ENDED: "the store is closed",
  [readOnlySqlState]: "the database is read-only (a standby, or a full disk?)",
  "28P01": "wrong password",
  "28000": "this account is not allowed to connect",
  "3D000": "database not found",
  "42501": "permission denied (creating the schema needs CREATE on the database)",
  "53100": "the disk is full",
  "53300": "too many connections",
  "57P01": "the database is shutting down",
  "57P02": "the database crashed and is restarting",
  "57P03": "the database is starting up",
};

/** Returns the URL for messages: without account and password. */
function redactUrl(url: string): string {
  const { host, pathname } = new URL(url);
  return `postgres://${host}${pathname}`;
}
