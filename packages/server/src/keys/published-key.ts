/**
 * Keys that agents publish at a URL of theirs (`jwks_uri`). They are fetched as callbacks are called (`outbound/`), read
 * as strictly as registered ones, and kept for a while; who signs with a key that is not among them has them fetched
 * again, but not more often than the agent's owner could mind. What cannot be fetched goes to the operator.
 */
import { parseJson } from "@countersign/protocol";
import { readKeys } from "../client/key.ts";
import type { Outbound } from "../outbound/outbound.ts";
import { createKeySet, type KeySet } from "./key-set.ts";
import { Recent } from "./recent.ts";

export type PublishedKeys = {
  /** Undefined where there are none that can be relied on now. */
  readonly read: (uri: string) => Promise<KeySet | undefined>;
  /** For what these do not verify: newer ones, where they may be looked for already, or else the same. */
  readonly renew: (uri: string, seen: KeySet) => Promise<KeySet | undefined>;
};

/** A key that is withdrawn counts no longer than this. */
const freshMs = 5 * 60_000;
/** While the URL cannot be reached, what was read before counts so much longer. */
const staleMs = 60 * 60_000;
/** Between two attempts at one URL, whoever asks: somebody may be sending signatures by keys that do not exist. */
const pauseMs = 30_000;
const timeoutMs = 5_000;
/** Twenty RSA keys with certificates fit. */
const mostBytes = 128 * 1024;
/** URLs that are remembered. */
const mostUrls = 1000;

type Entry = {
  set?: KeySet;
  fetchedAt: number;
  triedAt: number;
  underWay?: Promise<void> | undefined;
};

/** `now` is the store's clock, in milliseconds since the epoch. */
export function createPublishedKeys(
  now: () => number,
  outbound: Outbound,
  onFault: (fault: unknown, where: string) => void,
): PublishedKeys {
  const entries = new Recent<Entry>(mostUrls);
  const entryOf = (uri: string) => entries.get(uri, () => ({ fetchedAt: -Infinity, triedAt: -Infinity }));

  async function load(uri: string, entry: Entry): Promise<void> {
    entry.triedAt = now();
    const fetched = await fetchKeys(uri);
    if (typeof fetched === "string") {
      onFault(new Error(`the keys at ${uri} cannot be used: ${fetched}`), "agent keys");
      return;
    }
    entry.fetchedAt = now();
    // The same keys are the same set: what was imported stays.
    if (JSON.stringify(entry.set?.jwks) !== JSON.stringify(fetched.jwks)) entry.set = fetched;
  }

  async function fetchKeys(uri: string): Promise<KeySet | string> {
    const headers = { accept: "application/jwk-set+json, application/json" };
    const answer = await outbound({ url: uri, method: "GET", headers, mostBytes, timeoutMs });
    if ("failed" in answer) return answer.why;
    if (answer.status !== 200) return `the answer was ${answer.status}`;
    if (!answer.whole) return `the answer did not arrive whole, or is longer than ${mostBytes} bytes`;
    const parsed = parseJson(answer.body);
    if ("refused" in parsed) return `the answer cannot be read as JSON at ${parsed.path} (${parsed.refused})`;
    const read = readKeys(parsed.value);
    return "why" in read ? read.why : createKeySet(read.keys);
  }

  /** Those who ask meanwhile wait for the same answer. */
  function fetchOnce(uri: string, entry: Entry): Promise<void> {
    entry.underWay ??= load(uri, entry).finally(() => {
      entry.underWay = undefined;
    });
    return entry.underWay;
  }

  const mayTry = (entry: Entry) => entry.underWay !== undefined || now() - entry.triedAt >= pauseMs;
  const usable = (entry: Entry) => (now() - entry.fetchedAt < freshMs + staleMs ? entry.set : undefined);

  return {
    read: async (uri) => {
      const entry = entryOf(uri);
      if (now() - entry.fetchedAt >= freshMs && mayTry(entry)) await fetchOnce(uri, entry);
      return usable(entry);
    },
    renew: async (uri, seen) => {
      const entry = entryOf(uri);
      if (entry.set === seen && mayTry(entry)) await fetchOnce(uri, entry);
      return usable(entry);
    },
  };
}
