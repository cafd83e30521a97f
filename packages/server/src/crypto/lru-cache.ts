/** LRU cache with a fixed capacity. */
export class LruCache<V> {
  readonly #kept = new Map<string, V>();
  readonly #most: number;

  constructor(maxEntries: number) {
    this.#most = maxEntries;
  }

  /** Returns the value of this key; creates it with `make` if it is missing. */
  get(key: string, make: () => V): V {
    const value = this.#kept.has(key) ? (this.#kept.get(key) as V) : make();
    // Reinsert at the end: the first entry is the least recently used.
    this.#kept.delete(key);
    this.#kept.set(key, value);
    if (this.#kept.size > this.#most) {
      const [oldest = key] = this.#kept.keys();
      this.#kept.delete(oldest);
    }
    return value;
  }
}
