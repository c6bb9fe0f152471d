/** Containers in a network of the host's that plugins of CNI make; what they make is theirs, also its rules. */
import { readFileSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { type CniNetwork, endPlugins } from '@plinth/cni';
import type { ContainerConfig, EgressPolicy, TenantEgress } from '@plinth/contracts';
import type { LinkCounters } from '@plinth/host-network';
import { hasCode } from '@plinth/host-os';
import type { Logger } from '@plinth/service-kit';
import { cniRefusal, cniCapabilities } from '../domain/cni-capabilities.js';
import { interfaceCounters } from '../domain/interface-counters.js';
import { networkOf } from '../domain/requested-network.js';
import type { StartFailure } from '../domain/start-failure.js';
import { backoffMs } from '../domain/restart-policy.js';
import { type CniAttachments, isNetworkFailure } from './cni-attachments.js';
import { writeNameFiles } from './cni-name-files.js';
import type { Attachment, ChangeFailure, Networks, RunningContainer } from './networks.js';

const INTERFACE = 'eth0';
/** Containers whose plugins are run at the same time, beside starts. */
const AT_ONCE = 4;

export interface CniNetworkOptions {
  /** Directories of plugins. */
  readonly path: readonly string[];
  readonly timeoutMs: number;
  /** Of IPv4 addresses; see {@link cniCapabilities}. */
  readonly pool: string;
  /** The host's resolv.conf. */
  readonly resolvConf: string;
}

interface Failed {
  readonly attempts: number;
  readonly againAtMs: number;
}

export class CniNetworks implements Networks {
  readonly problem = undefined;
  readonly address = undefined;
  readonly resolution = undefined;
  readonly resolver = undefined;
  readonly processes = [];
  /** First processes, by container. */
  private readonly pids = new Map<string, number>();
  private readonly failed = new Map<string, Failed>();
  /** By number of the tenant. */
  private readonly policies = new Map<number, EgressPolicy>();
  /** Plugins of an agent before this one have ended. */
  private settled: Promise<void> = Promise.resolve();

  constructor(
    private readonly network: CniNetwork,
    private readonly attachments: CniAttachments,
    private readonly options: CniNetworkOptions,
    private readonly logger: Logger,
  ) {}

  get cniNetwork(): string {
    return this.network.configuration.name;
  }

  get bandwidthProblem(): string | undefined {
    return this.network.offers('bandwidth') ? undefined : 'no plugin has the capability bandwidth';
  }

  setNeighbours(): void {
    // Containers of other hosts are reached as the network of CNI reaches them, or not.
  }

  setTenantPolicy({ tenantNumber }: Pick<TenantEgress, 'tenantNumber'>, policy: EgressPolicy | undefined): void {
    // Containers that run go on: nothing here could hold them. None is started any more.
    if (policy === undefined) this.policies.delete(tenantNumber);
    else this.policies.set(tenantNumber, policy);
  }

  refusal(config: ContainerConfig): StartFailure | undefined {
    const message = cniRefusal(config, this.policies.get(config.tenantNumber ?? 0), this.cniNetwork, (capability) =>
      this.network.offers(capability),
    );
    return message === undefined ? undefined : { reason: 'network-unavailable', message };
  }

  /** All of it is made by plugins. */
  prepare(): void {}

  attach(config: ContainerConfig): Attachment {
    return networkOf(config) === undefined ? {} : { onCreated: (pid) => this.connect(config, pid) };
  }

  private async connect(config: ContainerConfig, pid: number): Promise<StartFailure | undefined> {
    const { containerId, name: hostname } = config;
    const { path, pool, resolvConf } = this.options;
    if (this.attachments.get(containerId) !== undefined) await this.settled;
    try {
      const { result } = await this.attachments.attach(
        containerId,
        pid,
        this.network,
        path,
        cniCapabilities(config, pool),
      );
      this.pids.set(containerId, pid);
      this.failed.delete(containerId);
      const message = writeNameFiles(pid, { hostname, result, resolvConf });
      return message === undefined ? undefined : { reason: 'network-failed', message };
    } catch (error) {
      if (!isNetworkFailure(error)) throw error;
      return { reason: 'network-failed', message: error.message };
    }
  }

  change(config: ContainerConfig): ChangeFailure | undefined {
    const refusal = this.refusal(config);
    const given = this.attachments.get(config.containerId)?.runtimeConfig;
    if (refusal !== undefined || given === undefined) return refusal;
    const now = cniCapabilities(config, this.options.pool);
    const final = {
      reason: 'network-failed',
      message: 'plugins of CNI connect a container once',
      needsStart: true,
    } as const;
    if (!isDeepStrictEqual(given['portMappings'], now['portMappings'])) return { ...final, part: 'ports' };
    if (!isDeepStrictEqual(given['bandwidth'], now['bandwidth'])) return { ...final, part: 'bandwidth' };
    return undefined;
  }

  readonly canBeKept = false;

  detach({ containerId }: Pick<ContainerConfig, 'containerId'>): Promise<void> {
    return this.undo(containerId);
  }

  nameOf(): undefined {
    return undefined;
  }

  takeOver(running: readonly RunningContainer[]): void {
    const networked = running.filter(({ config }) => networkOf(config) !== undefined);
    for (const { config, pid } of networked) {
      this.pids.set(config.containerId, pid);
      this.attachments.see(config.containerId, pid);
      if (this.attachments.get(config.containerId) === undefined)
        this.logger.error(
          { containerId: config.containerId },
          'nothing is known of the network of a container that runs; stop and start it',
        );
    }
    const ended = new Set(this.attachments.ids.filter((id) => !this.pids.has(id)));
    this.settled = endPlugins(ended, this.options.timeoutMs).then((killed) => {
      if (killed > 0) this.logger.warn({ killed }, 'plugins of CNI that an agent before this one had run were killed');
    });
    this.tend(eachOf([...ended], (id) => this.undo(id)));
    this.tend(eachOf([...this.pids.keys()], (id) => this.look(id)));
  }

  check(configs: readonly ContainerConfig[]): void {
    const wanted = new Set(configs.map(({ containerId }) => containerId));
    const now = performance.now();
    const ended = this.attachments.ids.filter(
      (id) => !wanted.has(id) && !this.attachments.isBusy(id) && (this.failed.get(id)?.againAtMs ?? 0) <= now,
    );
    this.tend(eachOf(ended, (id) => this.undo(id)));
  }

  guardRules(): void {
    // The rules are those of the plugins.
  }

  addressesOf(containerId: string): readonly string[] | undefined {
    return this.attachments.get(containerId)?.addresses;
  }

  counters(): ReadonlyMap<string, LinkCounters> {
    return new Map(
      [...this.pids].flatMap(([id, pid]) => {
        const found = this.countersOf(id, pid);
        return found === undefined ? [] : [[id, found] as const];
      }),
    );
  }

  drops(): undefined {
    return undefined;
  }

  /** @throws AggregateError */
  async removeAll(): Promise<void> {
    await removeAttachments(this.attachments, this.options.timeoutMs);
  }

  close(): Promise<void> {
    return this.attachments.idle();
  }

  private async undo(containerId: string): Promise<void> {
    this.pids.delete(containerId);
    await this.settled;
    try {
      await this.attachments.detach(containerId);
      this.failed.delete(containerId);
    } catch (error) {
      if (!isNetworkFailure(error)) throw error;
      const attempts = (this.failed.get(containerId)?.attempts ?? 0) + 1;
      this.failed.set(containerId, { attempts, againAtMs: performance.now() + backoffMs(attempts) });
      this.logger.error({ err: error, containerId }, 'what CNI made for a container is not removed; it is tried again');
    }
  }

  private async look(containerId: string): Promise<void> {
    const problem = await this.attachments.check(containerId);
    if (problem !== undefined)
      this.logger.error({ containerId, problem }, 'the network of a container is not whole; stop and start it');
  }

  private countersOf(containerId: string, pid: number): LinkCounters | undefined {
    try {
      // The pid may be that of another process by now.
      if (statSync(`/proc/${pid}/ns/net`).ino !== this.attachments.get(containerId)?.namespace) return undefined;
      return interfaceCounters(readFileSync(`/proc/${pid}/net/dev`, 'utf8'), INTERFACE);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ESRCH', 'EINVAL')) return undefined;
      throw error;
    }
  }

  private tend(work: Promise<void>): void {
    work.catch((error: unknown) => this.logger.error({ err: error }, 'the network of a container could not be tended'));
  }
}

/** A few at a time: each is several programs. */
async function eachOf(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  const left = [...ids];
  const take = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) await work(id);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
}

/**
 * Of containers that do not run any more, whatever network the agent has now.
 * @throws AggregateError after all that could be removed were
 */
export async function removeAttachments(
  attachments: CniAttachments,
  patienceMs: number,
  ids = attachments.ids,
): Promise<void> {
  await endPlugins(new Set(ids), patienceMs);
  const problems: unknown[] = [];
  await eachOf(ids, (id) => attachments.detach(id).catch((error: unknown) => void problems.push(error)));
  if (problems.length > 0)
    throw new AggregateError(
      problems,
      `what CNI made for ${problems.length} of ${ids.length} containers is not removed: ${String(problems[0])}`,
    );
}
