/** Spelling suggestions for unknown names. */

/** Returns a remedy for an unknown word: the nearest known word, or the list of known words. */
export function suggestSpelling(word: string, known: readonly string[]): string {
  const ranked = known.map((candidate) => ({ candidate, distance: computeLevenshtein(word, candidate) }));
  const [best] = ranked.sort((a, b) => a.distance - b.distance);
  // At most a third of the letters may differ, so that a short word does not match everything.
  if (best && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3)))
    return `did you mean ${best.candidate}?`;
  return known.length === 0 ? "none is declared; remove it" : `known: ${known.join(", ")}`;
}

/** Returns the case-insensitive Levenshtein distance. */
function computeLevenshtein(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
