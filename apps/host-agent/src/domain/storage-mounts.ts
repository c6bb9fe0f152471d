/** `sn-1=/mnt/sn-1,sn-2=/mnt/sn-2`: the storage nodes that this host has mounted, and their mount points. */
import { NAME_PATTERN } from '@plinth/contracts';

export type StorageMounts = ReadonlyMap<string, string>;

/** @returns the problem, one sentence, when there is one */
export function parseStorageMounts(text: string): StorageMounts | string {
  const mounts = new Map<string, string>();
  for (const part of text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')) {
    const [node, path] = [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)];
    if (!part.includes('=') || !NAME_PATTERN.test(node)) return `${JSON.stringify(part)} is not <storage node>=<path>`;
    // The path becomes part of mount options, where commas, colons and spaces have a meaning.
    if (!/^(?:\/[A-Za-z0-9_.@+=-]+)+$/.test(path) || path.split('/').includes('..'))
      return `the path of ${node} must be absolute, of plain components`;
    if (mounts.has(node)) return `${node} is named twice`;
    mounts.set(node, path);
  }
  return mounts;
}
