/** Ports that other agents of this machine publish: of two tables that have one, the one that was written first wins. */
import { canonicalAddress } from '../address.js';
import type { ContainerNetwork, PublishedPort } from '../container-network.js';
import { type Element, elementsInListing, portElements } from './elements.js';
import { NftError, type Nftables } from './nftables.js';

/**
 * The first of the ports that a container of another agent has. Its own address there is no other's: a container that is
 * moved between two agents may still be known to the first. Costs as much as the others publish.
 *
 * @param others their tables
 * @throws NftError
 */
export function publishedElsewhere(
  nft: Nftables,
  others: readonly string[],
  container: ContainerNetwork,
): PublishedPort | undefined {
  const own = [canonicalAddress(container.ipv4), canonicalAddress(container.ipv6)];
  return container.ports.find((port) =>
    others.some((other) =>
      portElements({ ...container, ports: [port] }, own[0] ?? '', own[1] ?? '')
        .flatMap((element) => rivals(nft, other, element, port))
        .some(({ value = '' }) => !own.includes(value.split(' . ')[0] ?? '')),
    ),
  );
}

/** What another table has for the port: at every address, and at one that is the same, or that every address includes. */
function rivals(nft: Nftables, table: string, wanted: Element, { protocol, hostPort }: PublishedPort): Element[] {
  const service = `${protocol} . ${hostPort}`;
  const family = wanted.set.slice(-1);
  const isForEvery = wanted.set.startsWith('ports');
  return [
    ...elements(nft, `list map inet ${table} ports${family}`).filter(({ key }) => key === service),
    ...elements(nft, `list map inet ${table} bound${family}`).filter(({ key }) =>
      isForEvery ? key.endsWith(` . ${service}`) : key === wanted.key,
    ),
  ];
}

/** Nothing where the table has gone meanwhile. */
function elements(nft: Nftables, command: string): Element[] {
  try {
    return elementsInListing(nft.listing(command));
  } catch (error) {
    if (error instanceof NftError) return [];
    throw error;
  }
}
