/**
 * Keys that agents publish at a URL of theirs (`jwks_uri`). They are fetched as callbacks are called (`outbound/`), read
 * as strictly as registered ones, and kept for a while; who signs with a key that is not among them has them fetched
 * again, but not more often than the agent's owner could mind. What cannot be fetched goes to the operator.
 */
import { parseJson } from "@countersign/protocol";
import { createKeySet, type KeySet } from "../crypto/key-set.ts";
import { LruCache } from "../crypto/lru-cache.ts";
import { parseJwks } from "../domain/client/public-key.ts";
import type { Outbound } from "./outbound.ts";

export type JwksCache = {
  /** Undefined where there are none that can be relied on now. */
  readonly read: (uri: string) => Promise<KeySet | undefined>;
  /** For what these do not verify: newer ones, where they may be looked for already, or else the same. */
  readonly refresh: (uri: string, seen: KeySet) => Promise<KeySet | undefined>;
};

/** A key that is withdrawn counts no longer than this. */
const cacheMaxAgeMs = 5 * 60_000;
/** While the URL cannot be reached, what was read before counts so much longer. */
const staleIfErrorMs = 60 * 60_000;
/** Between two attempts at one URL, whoever asks: somebody may be sending signatures by keys that do not exist. */
const cooldownMs = 30_000;
const timeoutMs = 5_000;
/** Twenty RSA keys with certificates fit. */
const maxBytes = 128 * 1024;
/** URLs that are remembered. */
const maxUrls = 1000;

type CacheEntry = {
  set?: KeySet;
  fetchedAt: number;
  triedAt: number;
  inFlight?: Promise<void> | undefined;
};

/** `now` is the store's clock, in milliseconds since the epoch. */
export function createJwksCache(
  now: () => number,
  outbound: Outbound,
  onFault: (fault: unknown, where: string) => void,
): JwksCache {
  const entries = new LruCache<CacheEntry>(maxUrls);
  const entryOf = (uri: string) => entries.get(uri, () => ({ fetchedAt: -Infinity, triedAt: -Infinity }));

  async function load(uri: string, entry: CacheEntry): Promise<void> {
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
    const response = await outbound({ url: uri, method: "GET", headers, maxBytes, timeoutMs });
    if ("failed" in response) return response.why;
    if (response.status !== 200) return `the answer was ${response.status}`;
    if (!response.complete) return `the answer did not arrive whole, or is longer than ${maxBytes} bytes`;
    const parsed = parseJson(response.body);
    if ("refused" in parsed) return `the answer cannot be read as JSON at ${parsed.path} (${parsed.refused})`;
    const read = parseJwks(parsed.value);
    return "why" in read ? read.why : createKeySet(read.keys);
  }

  /** Those who ask meanwhile wait for the same answer. */
  function fetchOnce(uri: string, entry: CacheEntry): Promise<void> {
    entry.inFlight ??= load(uri, entry).finally(() => {
      entry.inFlight = undefined;
    });
    return entry.inFlight;
  }

  const canFetch = (entry: CacheEntry) => entry.inFlight !== undefined || now() - entry.triedAt >= cooldownMs;
  const usableSet = (entry: CacheEntry) =>
    now() - entry.fetchedAt < cacheMaxAgeMs + staleIfErrorMs ? entry.set : undefined;

  return {
    read: async (uri) => {
      const entry = entryOf(uri);
      if (now() - entry.fetchedAt >= cacheMaxAgeMs && canFetch(entry)) await fetchOnce(uri, entry);
      return usableSet(entry);
    },
    refresh: async (uri, seen) => {
      const entry = entryOf(uri);
      if (entry.set === seen && canFetch(entry)) await fetchOnce(uri, entry);
      return usableSet(entry);
    },
  };
}
