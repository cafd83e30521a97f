/**
 * The database as one pool of connections: statements that are prepared once, transactions whose statements travel
 * together, and the words for what is wrong. Whatever the driver throws leaves here as an `Error` that names the
 * database without its password, with the driver's own error as its cause.
 */
import { MissingStore } from "../missing.ts";
import {
  connectSeconds,
  type Link,
  type OnConnection,
  openLink,
  type Run,
  type Script,
  type Value,
} from "./link.ts";
import { listenOn } from "./listen.ts";

export type Pool = {
  /** The database, for people: without account and password. */
  readonly place: string;
  readonly run: Run;
  /**
   * One transaction (READ COMMITTED), alone on its connection. `begin` and COMMIT are to be sent with the first and the
   * last statements; ROLLBACK is not.
   */
  readonly transaction: <T>(work: (run: Run, script: Script) => Promise<T>) => Promise<T>;
  /** Calls back for each notification, and `opened` each time that listening begins or begins again. */
  readonly listen: (channel: string, heard: (payload: string) => void, opened: () => void) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type PoolOptions = {
  readonly url: string;
  /** Connections of this node, besides the one that listens. */
  readonly max?: number;
  readonly onConnection?: OnConnection;
};

/** Long enough to be worth it, short enough to find a new primary, or certificates that were renewed. */
const lifetimeMs = 1_800_000;

const readOnly = "25006";

type Member = { readonly link: Link; alone: boolean };

export function openPool({ url, max = 10, onConnection }: PoolOptions): Pool {
  const place = placeOf(url);
  const members = new Set<Member>();
  const waiting: PromiseWithResolvers<void>[] = [];
  const listeners: { readonly stop: () => Promise<void> }[] = [];
  let opening = 0;
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

  /** Whoever had to wait looks again. */
  function turn(): void {
    for (const { resolve } of waiting.splice(0)) resolve();
  }

  async function open(): Promise<Member> {
    opening += 1;
    try {
      let member: Member | undefined;
      const leave = () => {
        if (member) members.delete(member);
        turn();
      };
      member = { link: await openLink({ url, onLost: leave, onConnection }), alone: false };
      if (closed) await member.link.drop();
      else members.add(member);
      return member;
    } catch (error) {
      // Nobody has a connection, and none is to be had: whoever waits would only learn it later, a few at a time.
      if (members.size === 0) for (const { reject } of waiting.splice(0)) reject(error);
      throw error;
    } finally {
      opening -= 1;
      turn();
    }
  }

  /** The least busy of those that can be shared. */
  function leastBusy(): Member | undefined {
    let least: Member | undefined;
    for (const member of members) {
      if (member.alone) continue;
      if (member.link.pending() === 0 && performance.now() - member.link.openedAt > lifetimeMs) {
        void member.link.drop();
        continue;
      }
      if (!least || member.link.pending() < least.link.pending()) least = member;
      if (least.link.pending() === 0) return least;
    }
    return least;
  }

  /** One to share; another is opened only where all are busy. */
  async function join(): Promise<Member> {
    for (;;) {
      const member = leastBusy();
      if (member && (member.link.pending() === 0 || members.size + opening >= max)) return member;
      if (members.size + opening < max) return await open();
      const mine = Promise.withResolvers<void>();
      waiting.push(mine);
      await mine.promise;
    }
  }

  /** One that nobody shares from now on, and on which nothing is under way. */
  async function claim(): Promise<Member> {
    for (;;) {
      const member = await join();
      // Another claim may have come first while this one was opening.
      if (member.alone) continue;
      member.alone = true;
      await member.link.drained();
      if (!member.link.isLost()) return member;
    }
  }

  function release(member: Member): void {
    member.alone = false;
    turn();
  }

  return {
    place,
    run: (text, ...values) =>
      attempt(async () => {
        const idle = leastBusy();
        const { link } = idle?.link.pending() === 0 ? idle : await join();
        return await link.run(text, ...values);
      }),
    transaction: (work) =>
      attempt(async () => {
        const member = await claim();
        const { run, script, isLost } = member.link;
        const within: Run = async <R extends object>(text: string, ...values: Value[]) => {
          const rows = await run<R>(text, ...values);
          // A statement that the driver tried again by itself, behind the COMMIT, would hide that it had failed.
          if (text === "COMMIT" && "command" in rows && rows.command !== "COMMIT")
            throw new Error("the transaction was rolled back");
          return rows;
        };
        try {
          return await work(within, script);
        } catch (error) {
          // Harmless where nothing was begun. Where the connection is gone, so is the transaction.
          if (!isLost()) await script("ROLLBACK").catch(() => member.link.drop());
          // A primary that was demoted: another connection may find the new one.
          if ((error as { code?: unknown }).code === readOnly) await member.link.drop();
          throw error;
        } finally {
          release(member);
        }
      }),
    listen: async (channel, heard, opened) => {
      await attempt(
        async () => void listeners.push(await listenOn(url, channel, heard, opened, onConnection)),
      );
    },
    close: async () => {
      closed = true;
      await Promise.all(listeners.map(({ stop }) => stop()));
      await Promise.all(
        [...members].map(async ({ link }) => {
          await link.drained();
          await link.drop();
        }),
      );
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
  ECONNRESET: "the connection was lost",
  EPIPE: "the connection was lost",
  CONNECTION_ENDED: "the store is closed",
  [readOnly]: "it is read-only at the moment (a standby, or a full disk?)",
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
