/** Leases with agents and guards as processes: two hosts of one storage node, on one machine. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ContainerReport } from '@plinth/contracts';
import { isFileLocked } from '@plinth/host-os';
import { newId } from '@plinth/service-kit';
import { GUARD_LOCK } from './adapters/lease-files.js';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

const TTL_SECONDS = 4;
/** Small enough to be filled. */
const LEASES_BYTES = 64 * 1024;
const OTHER = 'host-other';

let bench: AgentBench;
let agent: ChildProcess;
const ids: string[] = [];

type Config = ReturnType<AgentBench['config']>;

const alive = (pid: number | undefined): boolean => pid !== undefined && existsSync(`/proc/${pid}/exe`);
const renewalOf = (host = bench.host): string | undefined =>
  /"renewal":"(\w{32})"/.exec(readFileSync(join(leases(), `${host}.json`), 'utf8'))?.[1];
const leases = (): string => join(bench.storage, 'leases');
const images = (): string => join(bench.storage, 'images');
const volumeOf = (config: Config): string => join(bench.storage, 'volumes', String(config['dataVolume']));
const markerOf = (config: Config): { holder?: { host: string | null; generation: number } } =>
  JSON.parse(readFileSync(join(volumeOf(config), 'volume.json'), 'utf8')) as {
    holder?: { host: string | null; generation: number };
  };

/** The guard is the process that holds the lock: another one that was started beside it is about to end. */
function guardOf(host = bench.host): number | undefined {
  const lock = join(bench.hostDirectoryOf(host), GUARD_LOCK);
  return existsSync(lock) && isFileLocked(lock) ? Number(readFileSync(lock, 'utf8')) : undefined;
}

async function signalGuard(signal: NodeJS.Signals): Promise<number> {
  const guard = await waitFor(guardOf, 'a guard');
  process.kill(guard, signal);
  return guard;
}

async function renewedTwice(): Promise<void> {
  for (let times = 0; times < 2; times++) {
    const before = renewalOf();
    await waitFor(() => (renewalOf() !== before ? true : undefined), 'a renewal');
  }
}

async function running(
  overrides: Record<string, unknown> = {},
): Promise<{ readonly config: Config; readonly first: ContainerReport }> {
  const config = bench.config({ stopGraceSeconds: 0, ...overrides });
  ids.push(config.containerId);
  await bench.publishConfig(config);
  return { config, first: await bench.report(config.containerId, 'started') };
}

async function remove(config: Config): Promise<void> {
  await bench.publishConfig({ ...config, generation: 99, desired: 'removed', deleteData: true });
  await bench.report(config.containerId, 'removed');
}

beforeAll(async () => {
  bench = await AgentBench.open();
  bench.leaseSeconds = TTL_SECONDS;
  mkdirSync(leases());
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${LEASES_BYTES}`, 'tmpfs', leases()]);
  await bench.installImage('v1');
});
beforeEach(() => {
  agent = bench.startAgent();
});
afterEach(async () => {
  await bench.stopAgent(agent);
});
afterAll(async () => {
  if (bench) execFileSync('umount', ['--lazy', leases()]);
  await bench?.close();
  expect([guardOf(), guardOf(OTHER)]).toEqual([undefined, undefined]);
  expect(leftovers(bench, ids)).toEqual([]);
});

describe('a lease', () => {
  it('is renewed while the agent is away, so that its containers go on', async () => {
    const { config, first } = await running();
    await bench.stopAgent(agent, 'SIGKILL');
    const end = Date.now() + TTL_SECONDS * 1000;
    while (Date.now() < end) await renewedTwice();
    expect(alive(first.pid)).toBe(true);
    agent = bench.startAgent();
    await bench.report(config.containerId, 'started', { after: first.sequence });
    expect(alive(first.pid)).toBe(true);
    await remove(config);
  });

  it('has another guard when its guard is killed', async () => {
    const { config, first } = await running();
    const before = await signalGuard('SIGKILL');
    await waitFor(() => (guardOf() !== undefined && guardOf() !== before ? true : undefined), 'another guard');
    await renewedTwice();
    expect(alive(first.pid)).toBe(true);
    await remove(config);
  });

  it('is renewed on a full storage node', async () => {
    const { config, first } = await running();
    await renewedTwice();
    const filler = join(leases(), 'filler');
    expect(() => writeFileSync(filler, Buffer.alloc(2 * LEASES_BYTES))).toThrow('ENOSPC');
    const end = Date.now() + 2 * TTL_SECONDS * 1000;
    while (Date.now() < end) await renewedTwice();
    expect(alive(first.pid)).toBe(true);
    rmSync(filler);
    await remove(config);
  });

  const ends: readonly [string, () => Promise<void>, () => Promise<void>][] = [
    ['can be renewed', async () => undefined, async () => undefined],
    [
      'can be renewed, and the agent is dead',
      async () => void (await bench.stopAgent(agent, 'SIGKILL')),
      async () => void (agent = bench.startAgent()),
    ],
    [
      'can be renewed, and the guard stands still',
      async () => void (await signalGuard('SIGSTOP')),
      async () => void (await signalGuard('SIGCONT')),
    ],
  ];
  it.each(ends)(
    'ends its containers when it no longer %s, and starts them when it does again',
    async (_, harm, heal) => {
      // A container that ended with its lease did not end by itself: every policy starts it again.
      const { config, first } = await running({ restart: { policy: 'never' } });
      await harm();
      renameSync(images(), `${images()}-away`);
      await waitFor(() => (alive(first.pid) ? undefined : true), 'the end of the container');
      renameSync(`${images()}-away`, images());
      await heal();
      const again = await bench.report(config.containerId, 'started', { after: first.sequence });
      expect(again.pid).not.toBe(first.pid);
      await remove(config);
    },
  );

  it('that can not be read for a moment ends its containers too, and they are started again', async () => {
    const { config, first } = await running({ restart: { policy: 'never' } });
    await renewedTwice();
    const held = join(bench.hostDirectoryOf(bench.host), 'lease.json');
    const guard = await signalGuard('SIGSTOP');
    const before = readFileSync(held);
    writeFileSync(held, '{');
    await waitFor(() => (alive(first.pid) ? undefined : true), 'the end of the container');
    // The term is the same as before, so it does not show that the lease was not held.
    writeFileSync(held, before);
    process.kill(guard, 'SIGCONT');
    const again = await bench.report(config.containerId, 'started', { after: first.sequence }, 30_000);
    expect(again.pid).not.toBe(first.pid);
    await remove(config);
  });
});

describe('a volume', () => {
  it('is released, taken by another host with its data, and taken back', async () => {
    const other = bench.startAgent(OTHER);
    const { config, first } = await running();
    writeFileSync(join(volumeOf(config), 'data', 'kept'), 'kept');
    await bench.publishConfig({ ...config, generation: 2, desired: 'released' });
    await bench.report(config.containerId, 'released', { host: bench.host });
    expect(alive(first.pid)).toBe(false);
    expect(markerOf(config).holder).toEqual({ host: null, generation: 2 });
    await bench.publishConfig({ ...config, host: OTHER, generation: 3, runGeneration: 3 });
    const there = await bench.report(config.containerId, 'started', { host: OTHER });
    expect(readFileSync(`/proc/${there.pid}/root/data/kept`, 'utf8')).toBe('kept');
    expect(markerOf(config).holder).toEqual({ host: OTHER, generation: 3 });
    await bench.publishConfig({ ...config, host: OTHER, generation: 4, desired: 'released' });
    await bench.report(config.containerId, 'released', { host: OTHER });
    await bench.publishConfig({ ...config, generation: 5, runGeneration: 5 });
    const back = await bench.report(config.containerId, 'started', { host: bench.host, generation: 5 });
    expect(readFileSync(`/proc/${back.pid}/root/data/kept`, 'utf8')).toBe('kept');
    await remove(config);
    await bench.stopAgent(other);
  });

  it('of a dead host is taken over, and the dead host does not start on it when it is back', async () => {
    const other = bench.startAgent(OTHER);
    const { config } = await running();
    await bench.stopAgent(agent, 'SIGKILL');
    await signalGuard('SIGKILL');
    for (const pid of bench.alive(config.containerId)) process.kill(pid, 'SIGKILL');
    await bench.publishConfig({
      ...config,
      host: OTHER,
      generation: 3,
      runGeneration: 3,
      takeovers: [{ from: bench.host, renewal: renewalOf() }],
    });
    const there = await bench.report(config.containerId, 'started', { host: OTHER });
    agent = bench.startAgent();
    // Before that it may be `lease-lost`, as long as the new guard has not renewed the lease.
    await bench.report(config.containerId, 'failed', { host: bench.host, reason: 'volume-held' });
    expect(bench.alive(config.containerId)).toEqual([]);
    await bench.publishConfig({ ...config, generation: 2, desired: 'released' });
    await bench.report(config.containerId, 'released', { host: bench.host });
    expect(alive(there.pid)).toBe(true);
    expect(markerOf(config).holder).toEqual({ host: OTHER, generation: 3 });
    await remove({ ...config, host: OTHER } as Config);
    await bench.stopAgent(other);
  });

  it('of a dead host is deleted by another, and not before the dead one is known to be', async () => {
    const other = bench.startAgent(OTHER);
    const { config } = await running();
    const removal = { ...config, host: OTHER, desired: 'removed', deleteData: true };
    const stale = renewalOf();
    await renewedTwice();
    await bench.publishConfig({ ...removal, generation: 3, takeovers: [{ from: bench.host, renewal: stale }] });
    await waitFor(() => (existsSync(join(volumeOf(config), 'claim.json')) ? true : undefined), 'a claim');
    await bench.stopAgent(agent, 'SIGKILL');
    await signalGuard('SIGKILL');
    for (const pid of bench.alive(config.containerId)) process.kill(pid, 'SIGKILL');
    expect(existsSync(join(volumeOf(config), 'data'))).toBe(true);
    await bench.publishConfig({ ...removal, generation: 4, takeovers: [{ from: bench.host, renewal: renewalOf() }] });
    await bench.report(config.containerId, 'removed', { host: OTHER });
    expect(existsSync(volumeOf(config))).toBe(false);
    agent = bench.startAgent();
    await bench.publishConfig({ ...config, generation: 99, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed', { host: bench.host });
    await bench.stopAgent(other);
  });

  it('of a host that lives is not taken over, until the host releases it', async () => {
    const other = bench.startAgent(OTHER);
    const { config, first } = await running();
    const stale = renewalOf();
    await renewedTwice();
    await bench.publishConfig({
      ...config,
      host: OTHER,
      generation: 3,
      runGeneration: 3,
      takeovers: [{ from: bench.host, renewal: stale }],
    });
    const refused = await bench.report(config.containerId, 'failed', { host: OTHER });
    expect(refused).toMatchObject({ reason: 'volume-held', retryInMs: expect.any(Number) });
    expect(alive(first.pid)).toBe(true);
    await bench.publishConfig({ ...config, generation: 2, desired: 'released' });
    await bench.report(config.containerId, 'released', { host: bench.host });
    const there = await bench.report(config.containerId, 'started', { host: OTHER });
    expect(alive(first.pid)).toBe(false);
    expect(alive(there.pid)).toBe(true);
    await remove({ ...config, host: OTHER } as Config);
    await bench.stopAgent(other);
  });

  it('that is not released yet delays an update, and is no verdict on its image', async () => {
    const other = bench.startAgent(OTHER);
    const { config, first } = await running();
    const stale = renewalOf();
    await renewedTwice();
    const { image, contentDigest } = config;
    const knownGood = { image, contentDigest, runGeneration: 1 };
    await bench.publishConfig({
      ...config,
      host: OTHER,
      generation: 3,
      runGeneration: 3,
      update: { updateId: newId(), knownGood, stableSeconds: 0, soakSeconds: 0 },
      takeovers: [{ from: bench.host, renewal: stale }],
    });
    const refused = await bench.report(config.containerId, 'failed', { host: OTHER });
    expect(refused).toMatchObject({ reason: 'volume-held', retryInMs: expect.any(Number) });
    expect(alive(first.pid)).toBe(true);
    await bench.publishConfig({ ...config, generation: 2, desired: 'released' });
    await bench.report(config.containerId, 'released', { host: bench.host });
    await bench.report(config.containerId, 'updated', { host: OTHER });
    expect(
      bench.reports.some(({ kind, containerId }) => containerId === config.containerId && kind === 'update-refused'),
    ).toBe(false);
    await remove({ ...config, host: OTHER } as Config);
    await bench.stopAgent(other);
  });

  it('whose making was cut off leaves nothing when its container is removed', async () => {
    const config = bench.config();
    ids.push(config.containerId);
    mkdirSync(join(volumeOf(config), 'data/service'), { recursive: true });
    await remove(config);
    expect(existsSync(volumeOf(config))).toBe(false);
  });

  it('that has existed is not created again by another host', async () => {
    const config = bench.config({ generation: 3, runGeneration: 3, volumeMade: true });
    ids.push(config.containerId);
    await bench.publishConfig(config);
    const refused = await bench.report(config.containerId, 'failed');
    expect(refused).toMatchObject({
      reason: 'data-volume-missing',
      message: expect.stringContaining('is no longer there'),
    });
    expect(existsSync(volumeOf(config))).toBe(false);
    await remove(config);
  });

  it('is not started on by the host that a takeover was begun against', async () => {
    const { config, first } = await running();
    await bench.stopAgent(agent, 'SIGKILL');
    writeFileSync(join(volumeOf(config), 'claim.json'), JSON.stringify({ holder: { host: OTHER, generation: 7 } }));
    process.kill(first.pid ?? 0, 'SIGKILL');
    agent = bench.startAgent();
    const refused = await bench.report(config.containerId, 'failed', { after: first.sequence });
    expect(refused.reason).toBe('volume-held');
    await remove(config);
  });
});
