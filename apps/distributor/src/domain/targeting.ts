/** Decides whether a promotion is for this storage node. */

/** `k=v,k=v`, or nothing. */
export const LABELS_PATTERN = /^(?:[a-z0-9][a-z0-9-]{0,62}=[a-z0-9][a-z0-9.-]{0,62}(?:,(?!$)|$))*$/;

export interface StorageNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** @param labels text that {@link LABELS_PATTERN} matches; `datacenter` is a label like the others */
export function describeNode(name: string, datacenter: string, labels: string): StorageNode {
  const pairs = labels === '' ? [] : labels.split(',').map((pair) => pair.split('=') as [string, string]);
  return { name, labels: { ...Object.fromEntries(pairs), datacenter } };
}

/** @param to storage nodes (`sn-1`) or labels (`datacenter=west`); absent: every node */
export function concerns(node: StorageNode, to: readonly string[] | undefined): boolean {
  if (to === undefined) return true;
  return to.some((target) => {
    const [key = '', value] = target.split('=', 2);
    if (value === undefined) return target === node.name;
    return Object.hasOwn(node.labels, key) && node.labels[key] === value;
  });
}
