/** LRU cache with a fixed capacity. */
export class LruCache<V> {
  readonly #entries = new Map<string, V>();
  readonly #maxEntries: number;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** Returns the value of this key; creates it with `make` if it is missing. */
  get(key: string, make: () => V): V {
    const value = this.#entries.has(key) ? (this.#entries.get(key) as V) : make();
    // Reinsert at the end: the first entry is the least recently used.
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#maxEntries) {
      const [oldest = key] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    return value;
  }
}
