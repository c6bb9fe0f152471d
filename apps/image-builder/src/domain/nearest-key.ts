/** The known word that a misspelt one most likely means. */

const MOST_EDITS = 3;

/** @returns undefined when no known word is near */
export function nearestKey(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(MOST_EDITS, Math.ceil(word.length / 2)) + 1;
  for (const candidate of known) {
    const edits = distance(word.slice(0, 64).toLowerCase(), candidate.toLowerCase());
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
