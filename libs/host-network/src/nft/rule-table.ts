/**
 * The agent's table in the kernel. It is derived state: what it must hold is known here, and what the kernel holds is
 * compared with it whenever another program has changed nftables.
 */
import { TABLE_PREFIX } from '../container-network.js';
import type { Message } from '../netlink/message.js';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from '../netlink/netlink-socket.js';
import { beginMessage, changeMessages, END_MESSAGE } from './element-messages.js';
import { type Change, changeText, difference, type Element, elementName, elementsInListing } from './elements.js';
import { NftError, type Nftables } from './nftables.js';
import { arpProbeText, arpTableText, DROP_COUNTERS, removalText, type RulesetOptions, tableText } from './ruleset.js';
import { TableWatch } from './table-watch.js';

/** linux/errno.h: nftables has another generation. */
const ERESTART = 85;

export type DropCounts = Readonly<Record<keyof typeof DROP_COUNTERS, number>>;

export class RuleTable {
  private readonly held = new Map<string, Element>();
  private readonly socket = new NetlinkSocket(NETLINK_NETFILTER);
  private readonly watch: TableWatch;
  private chains: string | undefined;
  private handle: bigint | undefined;
  /** Of nftables, up to which all changes are known to be ours. */
  private generation: number | undefined;
  /** Whether this kernel has rules for ARP; undefined: not tried yet. */
  private arp: boolean | undefined;

  constructor(
    private readonly nft: Nftables,
    private readonly options: RulesetOptions,
  ) {
    this.watch = new TableWatch(this.socket, options.table);
  }

  /** Whether this process has written it. */
  get isWritten(): boolean {
    return this.chains !== undefined;
  }

  /** The elements that it must hold. */
  get elements(): readonly Element[] {
    return [...this.held.values()];
  }

  /** Replaces the whole table in one transaction: no packet meets a part of it. @throws NftError */
  write(elements: readonly Element[]): void {
    const text = tableText(this.options, changeText(this.options.table, { add: elements, remove: [] }));
    this.nft.run(this.hasArp ? `${text}${arpTableText(this.options)}` : text);
    this.held.clear();
    for (const element of elements) this.held.set(elementName(element), element);
    this.handle = this.watch.handle();
    this.chains = this.listedChains();
    this.generation = undefined;
    this.generation = this.matches() ? this.watch.generation() : undefined;
  }

  /** @throws NftError */
  change(change: Change): void {
    if (change.add.length + change.remove.length === 0) return;
    const messages = changeMessages(this.options.table, change);
    if (messages === undefined) this.changeByText(change);
    else this.transact(messages);
    for (const element of change.remove) this.held.delete(elementName(element));
    for (const element of change.add) this.held.set(elementName(element), element);
  }

  /** As {@link change}, to hold exactly these. */
  changeTo(wanted: readonly Element[]): void {
    this.change(difference(this.elements, wanted));
  }

  /** The table is gone, or is another one of the same name. */
  get isGone(): boolean {
    return this.handle === undefined || this.watch.handle() !== this.handle;
  }

  /** Whether another program may have changed it since it was last compared. */
  get isSuspect(): boolean {
    return this.generation === undefined || this.watch.generation() !== this.generation;
  }

  /** Names of the tables of other agents of this machine. */
  otherAgents(): string[] {
    return this.watch.names().filter((name) => name.startsWith(TABLE_PREFIX) && name !== this.options.table);
  }

  /** Compares chains and elements; costs as much as the table is long. @throws NftError */
  matches(): boolean {
    const generation = this.watch.generation();
    if (this.isGone || this.listedChains() !== this.chains) return false;
    const listed = elementsInListing(this.nft.listing(`list table inet ${this.options.table}`));
    const { add, remove } = difference(listed, this.elements);
    if (add.length + remove.length > 0) return false;
    this.generation = generation;
    return true;
  }

  /** Also of an agent before this one. @throws NftError */
  remove(): void {
    const { table } = this.options;
    const arp = this.hasArp ? removalText(table, 'arp') : '';
    if (this.watch.handle() !== undefined) this.nft.run(`${removalText(table)}${arp}`);
    this.held.clear();
    this.chains = undefined;
    this.handle = undefined;
    this.generation = undefined;
  }

  /** Packets that were dropped since the table was written. */
  drops(): DropCounts {
    const packets = new Map<string, number>();
    const add = (family: 'inet' | 'arp'): void => {
      const { nftables } = this.nft.listing(`list counters table ${family} ${this.options.table}`) as {
        nftables: readonly { counter?: { name: string; packets: number } }[];
      };
      for (const { counter } of nftables)
        if (counter) packets.set(counter.name, (packets.get(counter.name) ?? 0) + counter.packets);
    };
    if (!this.isGone) {
      add('inet');
      // Gone while the other one is there: it comes back with the next comparison.
      if (this.hasArp && this.arpChains() !== '') add('arp');
    }
    const of = (name: keyof typeof DROP_COUNTERS): number => packets.get(DROP_COUNTERS[name]) ?? 0;
    return {
      spoofed: of('spoofed'),
      claimed: of('claimed'),
      advertised: of('advertised'),
      toHost: of('toHost'),
      refused: of('refused'),
      egress: of('egress'),
      underlay: of('underlay'),
      tunnel: of('tunnel'),
      queries: of('queries'),
    };
  }

  close(): void {
    this.socket.close();
  }

  private changeByText(change: Change): void {
    const before = this.watch.generation();
    this.nft.run(changeText(this.options.table, change));
    if (before === this.generation && this.watch.generation() === before + 1) this.generation = before + 1;
  }

  /** Not by libnftables, which asks for tables, chains, sets and elements again after each change. */
  private transact(messages: readonly Message[]): void {
    const { table } = this.options;
    try {
      this.socket.transact(
        beginMessage(this.generation),
        messages,
        END_MESSAGE,
        `change elements of the table ${table}`,
      );
      const after = this.watch.generation();
      // What changes nothing does not count.
      const isOurs = this.generation !== undefined && (after === this.generation || after === this.generation + 1);
      this.generation = isOurs ? after : undefined;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      if (this.generation === undefined || error.errno !== ERESTART)
        throw new NftError(error.message, { cause: error });
      // Another program has changed nftables since.
      this.generation = undefined;
      this.transact(messages);
    }
  }

  private get hasArp(): boolean {
    if (this.arp !== undefined) return this.arp;
    try {
      this.nft.run(arpProbeText(this.options.table));
      return (this.arp = true);
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      return (this.arp = false);
    }
  }

  private listedChains(): string {
    return `${this.nft.chains(this.options.table)}${this.hasArp ? this.arpChains() : ''}`;
  }

  /** Empty when another program has taken the table away. */
  private arpChains(): string {
    try {
      return this.nft.chains(this.options.table, 'arp');
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      return '';
    }
  }
}
