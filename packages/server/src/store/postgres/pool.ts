/**
 * The database as one pool of connections: statements that are prepared once, transactions whose statements travel
 * together, and the words for what is wrong. Whatever the driver throws leaves here as an `Error` that names the
 * database without its password, with the driver's own error as its cause.
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
  /** The database, for people: without account and password. */
  readonly redactedUrl: string;
  readonly run: Run;
  /**
   * One transaction (READ COMMITTED), alone on its connection. `begin` and COMMIT are to be sent with the first and the
   * last statements; ROLLBACK is not.
   */
  readonly transaction: <T>(work: (run: Run, script: Script) => Promise<T>) => Promise<T>;
  /** Calls back for each notification, and `opened` each time that listening begins or begins again. */
  readonly listen: (
    channel: string,
    onPayload: (payload: string) => void,
    onListening: () => void,
  ) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type PoolOptions = {
  readonly url: string;
  /** Connections of this node, besides the one that listens. */
  readonly maxConnections?: number;
  readonly onConnection?: OnConnection;
};

/** Long enough to be worth it, short enough to find a new primary, or certificates that were renewed. */
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

  /** Whoever had to wait looks again. */
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
      member = { connection: await openConnection({ url, onLost: onLost, onConnection }), exclusive: false };
      if (closed) await member.connection.destroy();
      else members.add(member);
      return member;
    } catch (error) {
      // Nobody has a connection, and none is to be had: whoever waits would only learn it later, a few at a time.
      if (members.size === 0) for (const { reject } of waiters.splice(0)) reject(error);
      throw error;
    } finally {
      opening -= 1;
      wakeWaiters();
    }
  }

  /** The least busy of those that can be shared. */
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

  /** One to share; another is opened only where all are busy. */
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

  /** One that nobody shares from now on, and on which nothing is under way. */
  async function acquireExclusive(): Promise<PooledConnection> {
    for (;;) {
      const member = await acquireShared();
      // Another claim may have come first while this one was opening.
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
          // A statement that the driver tried again by itself, behind the COMMIT, would hide that it had failed.
          if (text === "COMMIT" && "command" in rows && rows.command !== "COMMIT")
            throw new Error("the transaction was rolled back");
          return rows;
        };
        try {
          return await work(runChecked, script);
        } catch (error) {
          // Harmless where nothing was begun. Where the connection is gone, so is the transaction.
          if (!isLost()) await script("ROLLBACK").catch(() => member.connection.destroy());
          // A primary that was demoted: another connection may find the new one.
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

/** What the driver or the database said, and whether it says something about one change, or about the connection. */
export class StoreError extends Error {
  /** The SQLSTATE, or the driver's or the system's own code. */
  readonly code: string;

  constructor(redactedUrl: string, cause: unknown) {
    const { message, code = "" } = cause as { message?: string; code?: string };
    super(`${redactedUrl}: ${reasons[code] ?? message ?? String(cause)}`, { cause });
    this.name = "StoreError";
    this.code = code;
  }

  /** Something of this change is not possible beside what is there: it fails alone. */
  get isChangeError(): boolean {
    return this.code.startsWith("23") || this.code.startsWith("22");
  }

  /** Two transactions met; the same can be tried again (serialization failure, deadlock). */
  get isTransient(): boolean {
    return this.code === "40001" || this.code === "40P01";
  }
}

const reasons: { readonly [code: string]: string | undefined } = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  CONNECT_TIMEOUT: `no connection within ${connectTimeoutSeconds} seconds`,
  CONNECTION_CLOSED: "the connection was lost",
  ECONNRESET: "the connection was lost",
  EPIPE: "the connection was lost",
  CONNECTION_ENDED: "the store is closed",
  [readOnlySqlState]: "it is read-only at the moment (a standby, or a full disk?)",
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
function redactUrl(url: string): string {
  const { host, pathname } = new URL(url);
  return `postgres://${host}${pathname}`;
}
