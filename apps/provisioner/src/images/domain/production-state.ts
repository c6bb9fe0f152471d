/** What storage nodes and hosts are sent about one version that is or was in production: pure. */
import {
  type Digest,
  type ImagePromoted,
  type ImageSource,
  isTarget,
  MAX_PEERS_OF_DATA_CENTRE,
  MAX_SEEDS_OF_DATA_CENTRE,
  MAX_SOURCES,
  type ProductionImage,
  type ProductionState,
} from '@plinth/contracts';

/** What is kept of the promotions of a version. */
export interface Promotion {
  readonly manifestDigest: Digest;
  readonly archiveDigest: Digest;
  readonly sources: readonly string[];
  /** All that it was ever promoted to; null: every storage node. */
  readonly to: readonly string[] | null;
  /** Id of the last promotion's event. */
  readonly id: string;
  readonly correlationId: string;
}

export interface VersionInProduction {
  readonly name: string;
  readonly version: string;
  readonly state: ProductionState;
  /** null: none is known. */
  readonly promotion: Promotion | null;
  readonly contentDigest: Digest | null;
  readonly archiveBytes: number | null;
  readonly unpackedBytes: number | null;
  readonly architecture: string | null;
  readonly reason: string | null;
}

/** One that serves what it has, and lives. */
export interface ServingNode {
  readonly name: string;
  readonly dataCenter: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly servesAt: string;
  /** It fetches what its containers need, and is no target of promotions. */
  readonly isHost: boolean;
}

/** The version as it is after one more promotion: what it was promoted to before stays. */
export function promote(
  before: Promotion | null,
  event: ImagePromoted,
  { id, correlationId }: { readonly id: string; readonly correlationId: string },
): Promotion {
  const { manifestDigest, archiveDigest, sources, to } = event;
  const all = before === null ? (to ?? null) : before.to === null || to === undefined ? null : [...before.to, ...to];
  return {
    manifestDigest: manifestDigest as Digest,
    archiveDigest: archiveDigest as Digest,
    sources,
    to: all && [...new Set(all)].sort(),
    id,
    correlationId,
  };
}

/**
 * @param nodes in the order in which they are preferred, which is another one for each version
 * @param holders names of the nodes that have exactly this version
 * @returns undefined while its promotion is not known
 */
export function productionImage(
  image: VersionInProduction,
  nodes: readonly ServingNode[],
  holders: ReadonlySet<string>,
): ProductionImage | undefined {
  const { name, version, state, promotion, contentDigest, archiveBytes, unpackedBytes, architecture, reason } = image;
  const known = {
    ...{ name, version, state },
    ...(contentDigest !== null && { contentDigest }),
    ...(unpackedBytes !== null && { unpackedBytes }),
    ...(architecture !== null && { architecture }),
  };
  if (state !== 'promoted')
    return { ...known, sources: [], seeds: [], ...(state === 'revoked' && reason !== null && { reason }) };
  if (promotion === null || contentDigest === null || archiveBytes === null) return undefined;
  const { manifestDigest, archiveDigest, to, id, correlationId } = promotion;
  const builders = promotion.sources.map((url): ImageSource => ({ url }));
  const targets = nodes.filter((node) => !node.isHost && isTarget(node, to ?? undefined));
  const peers = firstOfEach(
    nodes.filter((node) => holders.has(node.name)),
    MAX_PEERS_OF_DATA_CENTRE,
  );
  const sourceOf = ({ servesAt, dataCenter, name: node }: ServingNode): ImageSource => ({
    url: `${servesAt.replace(/\/+$/, '')}/images/${name}/${version}`,
    dataCenter,
    node,
  });
  return {
    ...known,
    ...{ manifestDigest, archiveDigest, archiveBytes, promotionId: id, correlationId },
    ...(to !== null && { to: [...to] }),
    sources: [...builders, ...peers.map(sourceOf)].slice(0, MAX_SOURCES),
    seeds: firstOfEach(targets, MAX_SEEDS_OF_DATA_CENTRE).map(sourceOf).slice(0, MAX_SOURCES),
  };
}

/** The first ones of each data centre, in their order. */
function firstOfEach(nodes: readonly ServingNode[], most: number): readonly ServingNode[] {
  const counts = new Map<string, number>();
  return nodes.filter(({ dataCenter }) => {
    const count = (counts.get(dataCenter) ?? 0) + 1;
    counts.set(dataCenter, count);
    return count <= most;
  });
}
