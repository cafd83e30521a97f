/**
 * Cache of the keys that agents publish (`jwks_uri`). Fetched with SSRF protection and parsed as strictly as registered keys.
 * An unknown `kid` triggers a refetch, at most every 30 s per URL. Fetch errors are reported to the operator.
 */
import { parseJson } from "@countersign/protocol";
import { createKeySet, type KeySet } from "../crypto/key-set.ts";
import { LruCache } from "../crypto/lru-cache.ts";
import { parseJwks } from "../domain/client/public-key.ts";
import type { Outbound } from "./outbound.ts";

export type JwksCache = {
  /** Returns the keys of this URL, fetched if older than 5 minutes. Undefined if none are usable. */
  readonly read: (uri: string) => Promise<KeySet | undefined>;
  /** Refetches keys after `seen` failed to verify a signature. Returns the same set during the cooldown. */
  readonly refresh: (uri: string, seen: KeySet) => Promise<KeySet | undefined>;
};

/** A withdrawn key is accepted no longer than this. */
const cacheMaxAgeMs = 5 * 60_000;
/** Additional time for which cached keys are used while the URL is unreachable. */
const staleIfErrorMs = 60 * 60_000;
/** Minimum time between two fetches of one URL, because unauthenticated callers can trigger a refetch. */
const cooldownMs = 30_000;
const timeoutMs = 5_000;
/** Twenty RSA keys with certificates fit. */
const maxBytes = 128 * 1024;
/** Capacity of the cache. */
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
    // Keep the set if the keys are unchanged, so that imported keys stay cached.
    if (JSON.stringify(entry.set?.jwks) !== JSON.stringify(fetched.jwks)) entry.set = fetched;
  }

  async function fetchKeys(uri: string): Promise<KeySet | string> {
    const headers = { accept: "application/jwk-set+json, application/json" };
    const response = await outbound({ url: uri, method: "GET", headers, maxBytes, timeoutMs });
    if ("failed" in response) return response.why;
    if (response.status !== 200) return `the response status was ${response.status}`;
    if (!response.complete) return `the response is incomplete or longer than ${maxBytes} bytes`;
    const parsed = parseJson(response.body);
    if ("refused" in parsed) return `the response is not valid JSON at ${parsed.path} (${parsed.refused})`;
    const read = parseJwks(parsed.value);
    return "why" in read ? read.why : createKeySet(read.keys);
  }

  /** Fetches once for concurrent callers. */
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
