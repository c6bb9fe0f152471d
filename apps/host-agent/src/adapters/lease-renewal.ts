/** Renews the leases of one host, each storage node by itself, and ends the containers of those that have run out. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OciRuntime } from '@plinth/container-runtime';
import { holdsLease } from '../domain/lease.js';
import type { StorageMounts } from '../domain/storage-mounts.js';
import { isFileLocked, isMissing, readBootId } from '@plinth/host-os';
import { readHeldLeases, renewLease, sinceBootMs, writeHeldLeases } from './lease-files.js';

/** Renewals within the time for which one is valid. */
const RENEWALS_PER_TTL = 6;
const RETRY_MS = 1_000;
const WATCH_MS = 250;
/** Checks in a row that found neither agent nor container before the guard ends. */
const CHECKS_ALONE = 4;
/** The runtime's directory in that of the host. */
const RUNTIME = 'runtime';

interface Lease {
  deadlineMs: number;
  term: string;
  lapsed: boolean;
}

export class LeaseRenewal {
  private readonly leases = new Map<string, Lease>();
  private readonly bootId = readBootId();
  private readonly logged = new Map<string, string>();
  private loading: Promise<OciRuntime> | undefined;
  private saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly host: string,
    private readonly directory: string,
    private readonly storage: StorageMounts,
    private readonly ttlSeconds: number,
  ) {
    const held = readHeldLeases(directory);
    for (const node of storage.keys()) {
      const holds = holdsLease(held, this.bootId, node, sinceBootMs());
      this.leases.set(node, {
        deadlineMs: holds ? (held?.deadlines[node] ?? 0) : 0,
        term: held?.terms[node] ?? '',
        lapsed: !holds,
      });
    }
  }

  /** @throws Error when the environment from the agent is not valid */
  static fromEnvironment(environment: NodeJS.ProcessEnv): LeaseRenewal {
    const storage = JSON.parse(environment['PLINTH_LEASE_STORAGE'] ?? '') as Record<string, string>;
    return new LeaseRenewal(
      environment['PLINTH_HOST'] ?? '',
      environment['PLINTH_HOST_DIR'] ?? '',
      new Map(Object.entries(storage)),
      Number(environment['PLINTH_LEASE_SECONDS']),
    );
  }

  /** Ends when neither the agent nor a container is left. */
  async run(): Promise<void> {
    for (const node of this.leases.keys()) void this.renewForEver(node);
    for (let alone = 0; alone < CHECKS_ALONE;) {
      await delay(WATCH_MS);
      await this.endLapsed();
      alone = (await this.isNeeded()) ? 0 : alone + 1;
    }
    const { instanceName, monitorGroup } = await import('@plinth/container-runtime');
    monitorGroup(instanceName(join(this.directory, RUNTIME))).leave();
    process.exit(0);
  }

  private async isNeeded(): Promise<boolean> {
    if (!existsSync(this.directory)) return false;
    return isFileLocked(join(this.directory, 'lock')) || (await this.runtime()).isAnyRunning();
  }

  private async renewForEver(node: string): Promise<never> {
    for (;;) {
      try {
        const renewed = await this.renew(node);
        if (renewed) this.log(node, `lease on ${node} is held`);
        await delay(renewed ? (this.ttlSeconds * 1000) / RENEWALS_PER_TTL : WATCH_MS);
      } catch (error) {
        this.log(
          node,
          `lease on ${node} could not be renewed: ${error instanceof Error ? error.message : String(error)}`,
        );
        await delay(RETRY_MS);
      }
    }
  }

  /** @returns false when containers of a lease that has run out are still to be ended */
  private async renew(node: string): Promise<boolean> {
    const lease = this.leases.get(node);
    const storage = this.storage.get(node);
    if (!lease || storage === undefined) return true;
    if (lease.lapsed && (await this.containersOn(node)).length > 0) return false;
    const wasLapsed = lease.lapsed;
    // The deadline counts from before the write, so that it is never later than the one on the storage node.
    const before = sinceBootMs();
    await renewLease(storage, this.host, this.ttlSeconds);
    // The lease ran out meanwhile: all containers end first, then it is acquired again.
    if (!wasLapsed && (lease.lapsed || sinceBootMs() >= lease.deadlineMs)) {
      lease.lapsed = true;
      return false;
    }
    lease.deadlineMs = before + this.ttlSeconds * 1000;
    if (wasLapsed) lease.term = randomBytes(8).toString('hex');
    lease.lapsed = false;
    await this.save();
    return true;
  }

  /** Writes are sequential, so that an older one is never the last. */
  private save(): Promise<void> {
    const write = async (): Promise<void> => {
      const entries = [...this.leases].filter(([, { lapsed }]) => !lapsed);
      await writeHeldLeases(this.directory, {
        bootId: this.bootId,
        deadlines: Object.fromEntries(entries.map(([node, { deadlineMs }]) => [node, deadlineMs])),
        terms: Object.fromEntries(entries.map(([node, { term }]) => [node, term])),
      });
    };
    this.saving = this.saving.then(write, write);
    return this.saving;
  }

  private async endLapsed(): Promise<void> {
    for (const [node, lease] of this.leases) {
      if (sinceBootMs() >= lease.deadlineMs && !lease.lapsed) {
        lease.lapsed = true;
        this.log(node, `lease on ${node} has run out: its containers are ended`);
      }
      if (!lease.lapsed) continue;
      const runtime = await this.runtime();
      for (const id of await this.containersOn(node)) {
        try {
          await runtime.kill(id);
        } catch (error) {
          this.log(id, `container ${id} could not be ended: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
    }
  }

  /** Running containers with a volume on the node; one whose config can't be read counts for every storage node. */
  private async containersOn(node: string): Promise<string[]> {
    if (!this.hasBundles()) return [];
    return (await this.runtime()).list().flatMap(({ id, state }) => {
      if (state !== 'running') return [];
      const storageNode = this.storageNodeOf(id);
      return storageNode === undefined || storageNode === node ? [id] : [];
    });
  }

  /** Loaded on first use: a guard that only renews leases stays small. */
  private runtime(): Promise<OciRuntime> {
    this.loading ??= import('@plinth/container-runtime').then(
      ({ OciRuntime: Runtime }) => new Runtime({ stateDirectory: join(this.directory, RUNTIME) }),
    );
    return this.loading;
  }

  private hasBundles(): boolean {
    try {
      return readdirSync(join(this.directory, RUNTIME, 'bundles')).length > 0;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  private storageNodeOf(id: string): string | undefined {
    try {
      const { storageNode } = JSON.parse(
        readFileSync(join(this.directory, 'containers', id, 'config.json'), 'utf8'),
      ) as { storageNode?: unknown };
      return typeof storageNode === 'string' ? storageNode : undefined;
    } catch (error) {
      if (isMissing(error) || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  /** Logs a line once until another one about the same subject: a storage node may be away for days. */
  private log(about: string, line: string): void {
    if (this.logged.get(about) === line) return;
    this.logged.set(about, line);
    process.stderr.write(`${new Date().toISOString()} ${line}\n`);
  }
}
