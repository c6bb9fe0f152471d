/** Removal of masters: the compiled service on a real bus and a real disk, also killed in between. Needs root. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  decodePayload,
  MasterReport,
  MASTER_REPORTS,
  type StorageHeartbeat,
  STORAGE_HEARTBEATS,
  STREAMS,
} from '@plinth/contracts';
import { connectNats, EventPublisher } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { type ServiceProcess, startNats, type TestServer } from '@plinth/testkit';
import { ended, producedOf, publishProduction } from './testing/production.js';
import { startDistributor } from './testing/start-distributor.js';
import {
  HostileRepository,
  makeImage,
  makeKey,
  promotionOf,
  type TestImage,
  trust,
} from '@plinth/image-transfer/testing';

const key = makeKey();
let scratch: string;
let nats: TestServer;
let connection: NatsConnection;
let publisher: EventPublisher;
let repository: HostileRepository;
let storage: string;
let reports: MasterReport[] = [];
let heartbeat: StorageHeartbeat | undefined;
let running: ServiceProcess[] = [];
let tests = 0;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-removal-'));
  nats = await startNats();
  connection = await connectNats({ url: nats.url, name: 'test' });
  publisher = new EventPublisher(connection, 'test');
  trust(join(scratch, 'keys'), key);
  repository = await new HostileRepository().start();
  connection.subscribe(MASTER_REPORTS, {
    callback: (error, message) => {
      const decoded = decodePayload(MasterReport, message.data);
      if (error || !decoded.ok) throw error ?? new Error(JSON.stringify(decoded));
      reports.push(decoded.value);
    },
  });
  connection.subscribe(STORAGE_HEARTBEATS, { callback: (_, message) => void (heartbeat = message.json()) });
});
afterAll(async () => {
  await connection?.close();
  await repository?.stop();
  await nats?.stop();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  storage = join(scratch, `storage-${++tests}`);
  reports = [];
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((distributor) => distributor.end('SIGKILL')));
  await (await connection.jetstreamManager()).streams.purge(STREAMS.desired.name);
});

async function distributor(id = 'distributor-1'): Promise<ServiceProcess> {
  const started = await startDistributor({
    NATS_URL: nats.url,
    PLINTH_SERVICE_ID: id,
    PLINTH_STORAGE_NODE: `sn-${tests}`,
    PLINTH_STORAGE_DIR: storage,
    PLINTH_TRUSTED_KEYS: join(scratch, 'keys'),
    PLINTH_RETRY_MAX_SECONDS: '1',
  });
  running.push(started);
  return started;
}

async function until<T>(what: () => T | undefined | false): Promise<T> {
  for (const end = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const value = what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`did not come: ${what.toString()}; reports: ${JSON.stringify(reports)}`);
  }
}

const small = (name: string): Promise<TestImage> =>
  makeImage({ 'etc/hostname': name, 'usr/bin/tool': 'binary', bin: { to: 'usr/bin' } }, key, { name });
const promote = (image: TestImage): Promise<void> =>
  publishProduction(publisher, producedOf(promotionOf(image, [repository.put(image, {}, `/${image.statement.name}`)])));
const retire = (name: string): Promise<void> => publishProduction(publisher, ended(name, 'v1', 'retired'));
const master = (name: string): string => join(storage, 'images', name, 'v1');
const objects = (): number =>
  readdirSync(join(storage, 'objects'), { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
    .length;
const reportsOf = (kind: MasterReport['kind'], name: string): MasterReport[] =>
  reports.filter((report) => report.kind === kind && report.name === name);

async function install(name: string): Promise<TestImage> {
  const image = await small(name);
  await promote(image);
  await until(() => reportsOf('distributed', name).length > 0);
  return image;
}

describe('a retired version', () => {
  it('is removed from disk and heartbeat, is reported, and never comes back; others stay', async () => {
    const service = await distributor();
    const image = await install('gone');
    await install('kept');
    expect(objects()).toBe(3);
    await retire('gone');
    expect(await until(() => reportsOf('removed', 'gone')[0])).toMatchObject({ node: `sn-${tests}`, version: 'v1' });
    expect(existsSync(master('gone'))).toBe(false);
    expect(existsSync(master('kept'))).toBe(true);
    await until(() => heartbeat?.images.length === 1 && heartbeat.images[0]?.name === 'kept');
    await until(() => readdirSync(join(storage, 'retiring')).length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
    // Of its two files one was in the other version, too.
    await until(() => objects() === 2);
    expect(lstatSync(join(master('kept'), 'root/usr/bin/tool')).nlink).toBe(2);
    await promote(image);
    await install('later');
    expect(existsSync(master('gone'))).toBe(false);
    await service.end();
  });

  it('is also removed when the node was away for any time, and one that it never had is no work', async () => {
    const first = await distributor();
    const image = await install('while-away');
    await first.end();
    await retire('while-away');
    await retire('never-seen');
    // Nothing of the time before is left on the bus but the state.
    await (await connection.jetstreamManager()).streams.purge(STREAMS.events.name);
    await distributor();
    await until(() => reportsOf('removed', 'while-away').length > 0);
    expect(existsSync(master('while-away'))).toBe(false);
    await install('afterwards');
    expect(reportsOf('removed', 'never-seen')).toEqual([]);
    // One that is back, of an older state of the disk, goes again.
    await running.at(-1)?.end();
    const { statement, manifestBytes } = image;
    mkdirSync(join(master('while-away'), 'root'), { recursive: true });
    writeFileSync(join(master('while-away'), 'signature.json'), JSON.stringify(statement));
    writeFileSync(join(master('while-away'), 'manifest.json'), manifestBytes);
    await distributor();
    await until(() => !existsSync(master('while-away')));
  });

  it('is removed and reported by the next process when the one before died between any two steps', async () => {
    const first = await distributor();
    for (const name of ['not-reported', 'half-deleted']) await install(name);
    await first.end('SIGKILL');
    // The state after a process died when the event was stored, and after one died while it deleted.
    const { Retirements } = await import('./adapters/retirements.js');
    const { StorageLayout } = await import('./domain/storage-layout.js');
    const retirements = new Retirements(new StorageLayout(storage));
    for (const name of ['not-reported', 'half-deleted'])
      await retirements.add(
        { name, version: 'v1' },
        { id: `event-${name}`, correlationId: 'request', time: new Date().toISOString() },
      );
    const staging = join(storage, 'staging', 'half-deleted-v1');
    mkdirSync(staging, { recursive: true });
    renameSync(master('half-deleted'), join(staging, 'withdrawn-00000000'));
    rmSync(join(staging, 'withdrawn-00000000', 'root', 'usr'), { recursive: true });
    await distributor();
    await until(
      () => reportsOf('removed', 'not-reported').length > 0 && reportsOf('removed', 'half-deleted').length > 0,
    );
    for (const name of ['not-reported', 'half-deleted']) expect(existsSync(master(name))).toBe(false);
    await until(() => readdirSync(join(storage, 'retiring')).length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
  });

  it('is reported once by two distributors of the node', async () => {
    await Promise.all([distributor('distributor-1'), distributor('distributor-2')]);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(names.map(install));
    await Promise.all(names.map(retire));
    await until(() => names.every((name) => reportsOf('removed', name).length > 0));
    await until(() => readdirSync(join(storage, 'retiring')).length === 0);
    for (const name of names) expect(existsSync(master(name))).toBe(false);
    expect(names.flatMap((name) => reportsOf('removed', name))).toHaveLength(names.length);
    await until(() => readdirSync(join(storage, 'locks')).length === 0);
  });
});
