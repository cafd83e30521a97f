/**
 * The same thing again and again, as every round says it while a database is away, is told once in a while with how often it
 * was. Answers how many were left out since the last that was told, or undefined where this one is left out as well.
 */
export type Dedupe = (what: string) => number | undefined;

const quietMs = 10_000;
/** More different things than this at once are told as they come. */
const maxKeys = 200;

export function createDedupe(now: () => number): Dedupe {
  const told = new Map<string, { at: number; left: number }>();
  return (what) => {
    const before = told.get(what);
    if (before && now() - before.at < quietMs) {
      before.left += 1;
      return undefined;
    }
    // The oldest goes first, and with it how often it was.
    told.delete(what);
    if (told.size >= maxKeys) for (const oldest of [...told.keys()].slice(0, 1)) told.delete(oldest);
    told.set(what, { at: now(), left: 0 });
    return before?.left ?? 0;
  };
}
