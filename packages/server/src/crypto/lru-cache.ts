/** What was made with some effort and will be wanted again: as many as are given, those that were used last. */
export class LruCache<V> {
  readonly #kept = new Map<string, V>();
  readonly #most: number;

  constructor(maxEntries: number) {
    this.#most = maxEntries;
  }

  /** What is kept under this key; made now where nothing is. */
  get(key: string, make: () => V): V {
    const value = this.#kept.has(key) ? (this.#kept.get(key) as V) : make();
    // Put at the end, so that what stands first was used longest ago.
    this.#kept.delete(key);
    this.#kept.set(key, value);
    if (this.#kept.size > this.#most) {
      const [oldest = key] = this.#kept.keys();
      this.#kept.delete(oldest);
    }
    return value;
  }
}
