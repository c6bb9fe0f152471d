/** Lists that have to fit into one message. */
import type { CutList } from '@plinth/contracts';

/** The first items, as many as fit into so many bytes of JSON. */
export function cutList<T>(items: readonly T[], bytes: number): CutList<T> {
  return { items: items.slice(0, countThatFit(items, bytes)), total: items.length };
}

export function countThatFit(items: readonly unknown[], bytes: number): number {
  let used = 0;
  for (const [index, item] of items.entries()) {
    used += Buffer.byteLength(JSON.stringify(item)) + 1;
    if (used > bytes) return index;
  }
  return items.length;
}

/** A text for people, cut where it gets long. */
export function cutText(text: string, characters = 400): string {
  return text.length <= characters ? text : `${text.slice(0, characters)}… (${text.length} characters)`;
}
