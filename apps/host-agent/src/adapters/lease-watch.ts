/**
 * The agent's side of the leases: reads the guard's renewals, keeps a guard running, and ends containers that no lease
 * covers.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, WorkLoop } from '@plinth/service-kit';
import { holdsLease } from '../domain/lease.js';
import type { StartFailure } from '../domain/start-failure.js';
import type { StorageMounts } from '../domain/storage-mounts.js';
import type { OutlivingGroup } from '@plinth/container-runtime';
import { isFileLocked } from '@plinth/host-os';
import { GUARD_LOCK, readHeldLeases, sinceBootMs } from './lease-files.js';

const PERIOD_MS = 500;
const FIRST_LEASE_MS = 5_000;

export interface LeaseOptions {
  readonly host: string;
  readonly hostDirectory: string;
  /** File of the guard's program. */
  readonly guardProgram: string;
  readonly storage: StorageMounts;
  /** How long one renewal holds; 0: this host has no leases, and its containers are never started elsewhere. */
  readonly ttlSeconds: number;
  readonly bootId: string;
  /** In which the guard outlives the agent. */
  readonly group: OutlivingGroup;
  readonly logger: Logger;
}

export type CurrentTerm =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly failure: StartFailure };

export class LeaseWatch {
  private loop: WorkLoop | undefined;
  private readonly lapsed = new Set<string>();
  /** Leases that have run out since this process began. */
  losses = 0;

  constructor(private readonly options: LeaseOptions) {}

  /** The term of the lease on a storage node's volumes. */
  termOn(storageNode: string): CurrentTerm {
    const { hostDirectory, ttlSeconds, bootId } = this.options;
    if (ttlSeconds === 0) return { ok: true, value: '' };
    const leases = readHeldLeases(hostDirectory);
    if (holdsLease(leases, bootId, storageNode, sinceBootMs()))
      return { ok: true, value: leases?.terms[storageNode] ?? '' };
    const message =
      `this host's lease on the volumes of ${storageNode} has run out, ` +
      'because it could not be renewed there; it is tried again';
    return { ok: false, failure: { reason: 'lease-lost', message } };
  }

  /** By storage node: seconds since the lease on its volumes was renewed; those that were never held are left out. */
  ages(): ReadonlyMap<string, number> {
    const { hostDirectory, ttlSeconds, bootId, storage } = this.options;
    const leases = ttlSeconds === 0 ? undefined : readHeldLeases(hostDirectory);
    if (leases?.bootId !== bootId) return new Map();
    return new Map(
      [...storage.keys()].flatMap((node) => {
        const deadlineMs = leases.deadlines[node];
        return deadlineMs === undefined ? [] : [[node, ttlSeconds - (deadlineMs - sinceBootMs()) / 1000]];
      }),
    );
  }

  /** Starts the guard unless one runs, and waits up to {@link FIRST_LEASE_MS} for the first leases. */
  async open(): Promise<void> {
    if (this.options.ttlSeconds === 0) return;
    this.keepGuard();
    for (const end = performance.now() + FIRST_LEASE_MS; performance.now() < end && this.problem() !== undefined;)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** @param end ends every container whose volume is on the storage node */
  start(end: (storageNode: string) => Promise<void>): void {
    if (this.options.ttlSeconds === 0) return;
    this.loop = new WorkLoop({
      pass: () => this.turn(end),
      periodMs: PERIOD_MS,
      retryMs: () => PERIOD_MS,
      failed: (error) => this.options.logger.error({ err: error }, 'leases could not be checked; it is tried again'),
    });
    this.loop.start();
  }

  /** The guard goes on while containers run. */
  close(): void {
    void this.loop?.stop();
  }

  /** For the readiness check. */
  problem(): string | undefined {
    for (const node of this.options.storage.keys()) {
      const found = this.termOn(node);
      if (!found.ok) return found.failure.message;
    }
    return undefined;
  }

  private async turn(end: (storageNode: string) => Promise<void>): Promise<void> {
    this.keepGuard();
    for (const node of this.options.storage.keys()) {
      const { ok } = this.termOn(node);
      if (ok) {
        if (this.lapsed.delete(node)) this.options.logger.warn({ storageNode: node }, 'lease held again');
        continue;
      }
      if (!this.lapsed.has(node))
        this.options.logger.error({ storageNode: node }, 'lease has run out: its containers are ended');
      if (!this.lapsed.has(node)) this.losses++;
      this.lapsed.add(node);
      // The guard does the same, because either of the two may have died.
      await end(node);
    }
  }

  private keepGuard(): void {
    const { hostDirectory, guardProgram, host, storage, ttlSeconds, group } = this.options;
    if (isFileLocked(join(hostDirectory, GUARD_LOCK))) return;
    const log = openSync(join(hostDirectory, 'guard.log'), 'a', 0o600);
    const environment = {
      PATH: process.env['PATH'],
      PLINTH_HOST: host,
      PLINTH_HOST_DIR: hostDirectory,
      PLINTH_LEASE_STORAGE: JSON.stringify(Object.fromEntries(storage)),
      PLINTH_LEASE_SECONDS: String(ttlSeconds),
    };
    // Two guards at once do no harm: the second finds the lock taken and ends.
    const guard = spawn(process.execPath, ['--max-semi-space-size=1', guardProgram, hostDirectory], {
      detached: true,
      stdio: ['ignore', log, log],
      env: environment,
    });
    const failed = (error: unknown): void =>
      this.options.logger.error({ err: error }, 'lease guard could not be started; it is tried again');
    guard.on('error', failed);
    // One that would end with the agent is ended at once: the next turn starts another.
    if (guard.pid !== undefined)
      group.take(guard.pid).catch((error: unknown) => {
        failed(error);
        guard.kill('SIGKILL');
      });
    guard.unref();
    closeSync(log);
  }
}
