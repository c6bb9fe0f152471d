/** Names of containers: writes them for the resolver of the machine, and keeps one running while there are any. */
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerConfig, Neighbour } from '@plinth/contracts';
import { usesIpv6 } from '@plinth/host-network';
import type { ResolverStatus } from '@plinth/names';
import type { Logger } from '@plinth/service-kit';
import { type NameChange, namedContainer, NamedContainers } from '../domain/named-containers.js';
import { type OwnNames, removeEarlierNames } from './earlier-names.js';
import { isResolver, removeResolverGroup, resolverPid, ResolverWatch } from './resolver-watch.js';
import { namesDirectory, ZoneFile } from './zone-file.js';

const END_PATIENCE_MS = 2_000;

export interface NameOptions {
  readonly host: string;
  /** Distinguishes the agents of one machine. */
  readonly instance: string;
  /** The names end so. */
  readonly domain: string;
  readonly pools: readonly string[];
  /** File that names the host's own resolvers. */
  readonly resolvConf: string;
  /** File of the resolver's program. */
  readonly program: string;
}

export class ContainerNames {
  readonly domain: string;
  private readonly names: NamedContainers;
  private readonly zone: ZoneFile;
  private readonly watch: ResolverWatch;
  private readonly own: OwnNames;
  /** Another look at what earlier networks have left is needed. */
  private hasEarlier = true;

  constructor(
    { host, instance, program, domain, pools, resolvConf }: NameOptions,
    private readonly logger: Logger,
  ) {
    const builtAtMs = Math.floor(statSync(program).mtimeMs);
    const directory = namesDirectory();
    this.domain = domain;
    this.own = { base: dirname(directory), present: basename(directory), instance };
    this.names = new NamedContainers(host);
    this.zone = new ZoneFile(directory, instance, () => ({
      ...{ domain, pools, resolvConf, program, builtAtMs },
      hasIpv6: usesIpv6(),
    }));
    this.watch = new ResolverWatch({ directory, program, builtAtMs, logger }, () => this.mend());
  }

  /** Resolves when queries for it are answered, or when that can't be waited for. */
  async add(config: ContainerConfig): Promise<void> {
    const container = namedContainer(config);
    if (!container) return;
    this.write(() => this.names.set(container));
    await this.watch.ready();
  }

  remove(containerId: string): void {
    this.write(() => this.names.gone(containerId));
  }

  /** All containers of this host that run or are being started. */
  setAll(configs: readonly ContainerConfig[]): void {
    const wanted = configs.flatMap((config) => namedContainer(config) ?? []);
    this.write(() => this.names.setAll(wanted));
  }

  /** A part of a tenant's containers on other hosts, as it is known now. */
  setNeighbours(part: string, tenant: string, containers: readonly Neighbour[]): void {
    this.write(() => this.names.setNeighbours(part, tenant, containers));
  }

  /** @param isClosed its containers may reach nothing outside of it */
  setClosed(tenant: string, isClosed: boolean): void {
    this.write(() => this.names.setClosed(tenant, isClosed));
  }

  /** When the agent starts: what one before it has written is replaced, and the resolver is kept running from now on. */
  takeOver(configs: readonly ContainerConfig[]): void {
    this.names.setAll(configs.flatMap((config) => namedContainer(config) ?? []));
    this.writeAll();
    this.watch.start();
  }

  /** undefined: none answers, or none is needed. */
  get resolver(): ResolverStatus | undefined {
    return this.watch.status;
  }

  /** The resolver that runs, whichever agent has started it. */
  get processes(): readonly number[] {
    const pid = resolverPid(this.zone.directory);
    return pid === undefined ? [] : [pid];
  }

  /** After all containers were removed: the resolver ends unless another agent's containers have names. */
  async removeAll(): Promise<void> {
    const { directory } = this.zone;
    const pid = resolverPid(directory);
    if (!this.zone.remove()) return;
    const end = performance.now() + END_PATIENCE_MS;
    while (pid !== undefined && isResolver(pid, directory) && performance.now() < end) await delay(20);
    removeResolverGroup();
  }

  close(): void {
    this.watch.close();
    this.zone.close();
  }

  private write(change: () => readonly NameChange[]): void {
    const hadOwn = this.names.hasOwn;
    const changes = change();
    try {
      // Names of other hosts are of no use without a container that asks.
      if (this.names.hasOwn && hadOwn) this.zone.change(changes, () => this.names.all());
      else if (this.names.hasOwn || hadOwn) this.writeAll();
    } catch (error) {
      this.logger.error({ err: error }, 'names could not be written; they are written with the next change');
    }
  }

  /** Writes the names again when they could not be written, or are gone. @returns whether there are any */
  private mend(): boolean {
    if (this.hasEarlier) this.hasEarlier = removeEarlierNames(this.own);
    if (this.names.hasOwn && !this.zone.isWritten) {
      this.writeAll();
      this.logger.warn('the names of this agent were gone, and are written again');
    } else if (!this.zone.isCurrent) this.writeAll();
    // The last resolver ends by itself when no agent has names, and may not remove its files.
    if (!this.names.hasOwn && resolverPid(this.zone.directory) === undefined && this.zone.remove())
      removeResolverGroup();
    return this.names.hasOwn;
  }

  private writeAll(): void {
    this.zone.write(this.names.hasOwn ? this.names.all() : []);
  }
}
