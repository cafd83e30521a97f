/** What somebody probably meant to write. */

/** A remedy for a word that is none of those known: the nearest one, or all of them. */
export function suggestSpelling(word: string, known: readonly string[]): string {
  const ranked = known.map((candidate) => ({ candidate, distance: computeLevenshtein(word, candidate) }));
  const [best] = ranked.sort((a, b) => a.distance - b.distance);
  // A third of the letters, so that a short word is not taken for any other.
  if (best && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3)))
    return `did you mean ${best.candidate}?`;
  return known.length === 0 ? "none is declared; remove it" : `known here: ${known.join(", ")}`;
}

/** How many letters are added, left out or changed (Levenshtein), letter case aside. */
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
