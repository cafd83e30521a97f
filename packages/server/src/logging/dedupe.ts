/**
 * The same thing again and again, as every round says it while a database is away, is told once in a while with how often it
 * was. Answers how many were left out since the last that was told, or undefined where this one is left out as well.
 */
export type Dedupe = (key: string) => number | undefined;

const windowMs = 10_000;
/** More different things than this at once are told as they come. */
const maxKeys = 200;

export function createDedupe(now: () => number): Dedupe {
  const recent = new Map<string, { at: number; suppressed: number }>();
  return (key) => {
    const previous = recent.get(key);
    if (previous && now() - previous.at < windowMs) {
      previous.suppressed += 1;
      return undefined;
    }
    // The oldest goes first, and with it how often it was.
    recent.delete(key);
    if (recent.size >= maxKeys) for (const oldest of [...recent.keys()].slice(0, 1)) recent.delete(oldest);
    recent.set(key, { at: now(), suppressed: 0 });
    return previous?.suppressed ?? 0;
  };
}
