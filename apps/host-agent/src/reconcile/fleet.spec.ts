/** Fleet and actors on a simulated machine: which containers are observed, stopped, retried and left unchanged. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import { FairQueue } from '../domain/fair-queue.js';
import { emptyRecord, type LocalRecord } from '../domain/local-record.js';
import type { Observed } from '../domain/observed.js';
import { Fleet } from './fleet.js';
import type { AgentServices } from './agent-services.js';
import { containerConfig } from '../testing/container-config.js';

const ID = 'a'.repeat(32);
const NOW = Date.UTC(2026, 5, 1);
const RUNNING: Observed = {
  kind: 'running',
  pid: 7,
  startedAtMs: NOW - 5_000,
  runGeneration: 2,
  image: 'debian-12@v1',
};
const STARTED: LocalRecord = {
  ...emptyRecord('boot-1'),
  attemptedGeneration: 3,
  attemptedRunGeneration: 2,
  attemptedImage: 'debian-12@v1',
  starts: 1,
  startedAtMs: NOW - 5_000,
  volumeMade: true,
  announced: { kind: 'started', generation: 3, pid: 7, image: 'debian-12@v1' },
};

const config = (overrides: Partial<ContainerConfig> = {}): ContainerConfig =>
  containerConfig({ restart: { policy: 'never' }, ...overrides });

/** A simulated host with one container. */
class Machine {
  readonly done: string[] = [];
  readonly reports: ContainerReport[] = [];
  readonly errors: string[] = [];
  seen: Observed = RUNNING;
  failingObservations = 0;
  savesFail = false;
  stored: { config: ContainerConfig; record?: LocalRecord }[] = [{ config: config(), record: STARTED }];
  unreadable: { id: string; problems: [] }[] = [];
  onExit: (id: string) => void = () => undefined;
  readonly fleet: Fleet;

  constructor() {
    const note = (what: string): Promise<void> => Promise.resolve(void this.done.push(what));
    const observe = (): Observed => {
      if (this.failingObservations-- > 0) throw new Error('the runtime does not answer');
      return this.seen;
    };
    const services = {
      host: 'host-1',
      bootId: 'boot-1',
      clock: { now: () => NOW, timeOfDay: (text: string) => text },
      store: {
        readAll: () => Promise.resolve({ containers: this.stored, unreadable: this.unreadable }),
        saveConfig: (saved: ContainerConfig) =>
          this.savesFail ? Promise.reject(new Error('disk full')) : note(`config ${saved.generation} stored`),
        saveRecord: () => Promise.resolve(),
      },
      containers: {
        observe,
        removeStrayViews: () => Promise.resolve(),
        observeAll: () => new Map(this.seen.kind === 'absent' ? [] : [[ID, this.seen]]),
        watchExits: (listener: (id: string) => void) => (this.onExit = listener),
        stopSignalOf: () => 'SIGTERM',
        requestStop: (pid: number, signal: string) => void this.done.push(`${signal} to ${pid}`),
        endInterruptedCommands: () => Promise.resolve(),
        kill: () => note('killed'),
        delete: (id: string) => note(`runtime of ${id === ID ? 'the container' : id} deleted`),
      },
      volumeLimits: { sweep: () => undefined },
      networks: {
        takeOver: () => undefined,
        check: () => undefined,
        detach: () => Promise.resolve(),
        addressesOf: () => undefined,
        guardRules: () => undefined,
      },
      policies: { learn: () => undefined },
      networkCheckMs: 60_000,
      leases: { termOn: () => ({ ok: true, value: 'term' }) },
      logs: { rotate: () => Promise.resolve(), tail: () => Promise.resolve('') },
      reporter: {
        recover: () => Promise.resolve(),
        isPending: () => false,
        hasUnsent: () => false,
        send: (report: ContainerReport) => Promise.resolve(void this.reports.push(report)),
      },
      starts: new FairQueue(1),
      handovers: new FairQueue(1),
      announcements: new FairQueue(1),
      health: { follow: () => undefined, leave: () => undefined },
      limits: { look: () => false, report: () => Promise.resolve() },
      logger: {
        debug: () => undefined,
        info: () => undefined,
        warn: () => undefined,
        error: (_: object, message: string) => void this.errors.push(message),
      },
    };
    this.fleet = new Fleet(services as unknown as AgentServices);
  }

  get kinds(): string[] {
    return this.reports.map(({ kind }) => kind);
  }
}

/** Resolves when all work that waits for no timer is done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});
afterEach(() => machine.fleet.close());

describe('fleet', () => {
  it('takes over running containers: reports them once more and changes nothing', async () => {
    await machine.fleet.takeOver();
    await settled();
    expect([machine.kinds, machine.done]).toEqual([['started'], []]);
    expect(machine.fleet.running()).toEqual([{ id: ID, pid: 7 }]);
  });

  it('removes a container without a config', async () => {
    machine.stored = [];
    await machine.fleet.takeOver();
    await settled();
    expect(machine.done).toEqual(['runtime of the container deleted']);
  });

  it('counts images as used that configs name, that an update would be reverted to, and that run', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const knownGood = { image: 'debian-12@v2', contentDigest: digest, runGeneration: 2 };
    const update = { updateId: 'd'.repeat(32), knownGood, stableSeconds: 5, soakSeconds: 60 };
    machine.stored = [{ config: config({ image: 'debian-12@v3', update, desired: 'stopped' }), record: STARTED }];
    await machine.fleet.takeOver();
    const { needed, inUse } = machine.fleet.imageUses();
    expect([[...needed], [...inUse].toSorted()]).toEqual([[], ['debian-12@v1', 'debian-12@v2', 'debian-12@v3']]);
  });

  it('counts the image of what runs as used although its config can not be read', async () => {
    machine.stored = [];
    machine.unreadable = [{ id: ID, problems: [] }];
    await machine.fleet.takeOver();
    expect([...machine.fleet.imageUses().inUse]).toEqual(['debian-12@v1']);
  });

  it('stores a config before it acts on it, and does nothing while it cannot be stored', async () => {
    await machine.fleet.takeOver();
    machine.savesFail = true;
    machine.fleet.accept(config({ generation: 4, desired: 'stopped' }), undefined);
    await settled();
    expect(machine.done).toEqual([]);
    expect(machine.errors).toEqual(['config could not be stored; it has no effect until it is']);
  });

  it('stops a container on request, and reports the end when the runtime shows it', async () => {
    await machine.fleet.takeOver();
    machine.fleet.accept(config({ generation: 4, desired: 'stopped' }), undefined);
    await settled();
    expect(machine.done).toEqual(['config 4 stored', 'SIGTERM to 7']);
    machine.seen = { kind: 'exited', exitCode: 0, atMs: NOW };
    machine.onExit(ID);
    await settled();
    expect(machine.done).toEqual(['config 4 stored', 'SIGTERM to 7', 'runtime of the container deleted']);
    expect(machine.kinds.at(-1)).toBe('stopped');
  });

  it('ignores a config that is not newer than the one it has', async () => {
    await machine.fleet.takeOver();
    for (const generation of [2, 3]) machine.fleet.accept(config({ generation, desired: 'stopped' }), undefined);
    await settled();
    expect(machine.done).toEqual([]);
  });

  it('tries again after an observation that failed, as soon as something changes', async () => {
    await machine.fleet.takeOver();
    await settled();
    machine.failingObservations = 1;
    machine.onExit(ID);
    await settled();
    expect(machine.errors).toEqual(['container could not be brought to its desired state; it is tried again']);
    machine.fleet.accept(config({ generation: 4, desired: 'stopped' }), undefined);
    await settled();
    expect(machine.done).toContain('SIGTERM to 7');
  });

  it('reports the present state of every container on request, and does nothing after its end', async () => {
    await machine.fleet.takeOver();
    await settled();
    machine.fleet.announceAll();
    await settled();
    expect(machine.kinds).toEqual(['started', 'started']);
    await machine.fleet.close();
    machine.fleet.announceAll();
    machine.fleet.accept(config({ generation: 5, desired: 'stopped' }), undefined);
    await settled();
    expect([machine.kinds.length, machine.done]).toEqual([2, []]);
  });

  it('ends the containers on a storage node whose lease is lost, and no others', async () => {
    await machine.fleet.takeOver();
    await machine.fleet.endAllOn('sn-2');
    expect(machine.done).toEqual([]);
    await machine.fleet.endAllOn('sn-1');
    expect(machine.done).toEqual(['killed']);
  });
});
