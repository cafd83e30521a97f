/**
 * Suppresses repeated log lines: each key is logged once in 10 seconds. Returns how many were suppressed since the last
 * logged one, or undefined if this one is suppressed.
 */
export type Dedupe = (key: string) => number | undefined;

const windowMs = 10_000;
/** Beyond this many keys the oldest is forgotten. */
const maxKeys = 200;

export function createDedupe(now: () => number): Dedupe {
  const recent = new Map<string, { at: number; suppressed: number }>();
  return (key) => {
    const previous = recent.get(key);
    if (previous && now() - previous.at < windowMs) {
      previous.suppressed += 1;
      return undefined;
    }
    // Forgets the oldest key and its count.
    recent.delete(key);
    if (recent.size >= maxKeys) for (const oldest of [...recent.keys()].slice(0, 1)) recent.delete(oldest);
    recent.set(key, { at: now(), suppressed: 0 });
    return previous?.suppressed ?? 0;
  };
}
