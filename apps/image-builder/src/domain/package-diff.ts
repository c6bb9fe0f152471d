/** Which Debian packages differ between two images. */
import type { ImagePackage, PackageChange } from '@plinth/contracts';
import { packageKey } from './dpkg-status.js';

export interface PackageDiff {
  readonly added: readonly PackageChange[];
  readonly removed: readonly PackageChange[];
  readonly changed: readonly PackageChange[];
}

/** Sorted by name. */
export function diffPackages(from: readonly ImagePackage[], to: readonly ImagePackage[]): PackageDiff {
  const before = new Map(from.map((found) => [packageKey(found), found]));
  const after = new Map(to.map((found) => [packageKey(found), found]));
  const changes = [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((key): PackageChange[] => {
    const [old, now] = [before.get(key), after.get(key)];
    const { name, architecture } = now ?? old ?? { name: key, architecture: '' };
    return old?.version === now?.version
      ? []
      : [{ name, architecture, from: old?.version ?? null, to: now?.version ?? null }];
  });
  return {
    added: changes.filter((change) => change.from === null),
    removed: changes.filter((change) => change.to === null),
    changed: changes.filter((change) => change.from !== null && change.to !== null),
  };
}
