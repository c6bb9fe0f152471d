/** The containers that have an interface, and which of them each element belongs to. Pure. */
import { type AttachedNetwork, type Element, elementName, elementsOf } from './nft/elements.js';

interface Entry {
  readonly network: AttachedNetwork;
  readonly elements: readonly Element[];
}

export class AttachedContainers {
  private readonly entries = new Map<string, Entry>();
  /** Container by name of the element. */
  private readonly owners = new Map<string, string>();

  get size(): number {
    return this.entries.size;
  }

  get(containerId: string): AttachedNetwork | undefined {
    return this.entries.get(containerId)?.network;
  }

  all(): AttachedNetwork[] {
    return [...this.entries.values()].map(({ network }) => network);
  }

  elements(): Element[] {
    return [...this.entries.values()].flatMap(({ elements }) => elements);
  }

  /** @returns its elements: those that no other container has, which keeps what it has */
  set(network: AttachedNetwork): readonly Element[] {
    const { containerId } = network;
    const elements = elementsOf(network).filter((element) => {
      const name = elementName(element);
      const owner = this.owners.get(name);
      if (owner !== undefined && owner !== containerId) return false;
      this.owners.set(name, containerId);
      return true;
    });
    this.entries.set(containerId, { network, elements });
    return elements;
  }

  /** @returns the elements that it had */
  delete(containerId: string): readonly Element[] {
    const entry = this.entries.get(containerId);
    if (entry === undefined) return [];
    this.entries.delete(containerId);
    for (const element of entry.elements) this.owners.delete(elementName(element));
    return entry.elements;
  }

  clear(): void {
    this.entries.clear();
    this.owners.clear();
  }

  /** The first element that another container has. */
  takenBy(network: AttachedNetwork): { readonly element: Element; readonly containerId: string } | undefined {
    for (const element of elementsOf(network)) {
      const owner = this.owners.get(elementName(element));
      if (owner !== undefined && owner !== network.containerId) return { element, containerId: owner };
    }
    return undefined;
  }
}
