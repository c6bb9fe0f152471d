import { randomBytes } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ImagePromoted, MasterReport, masterReport, MASTER_REPORTS, StorageHeartbeat, STORAGE_HEARTBEATS, SUBJECTS } from '@plinth/contracts';
import { decodePayload } from '@plinth/contracts';
import { connectNats, EventPublisher } from '@plinth/service-kit';
import { type NatsConnection, type Subscription } from 'nats';
import { compileDistributor, DistributorProcess } from './testing/distributor-process.js';
import { HostileRepository } from './testing/hostile-repository.js';
import { makeImage, makeKey, promotionOf, type TestImage, trust } from './testing/image-fixture.js';
import { type NatsProcess, startNats } from './testing/nats-process.js';

const key = makeKey();
let scratch: string;
let nats: NatsProcess;
let connection: NatsConnection;
let publisher: EventPublisher;
let repository: HostileRepository;
let storage: string;
let node: string;
let subscriptions: Subscription[];
let reports: MasterReport[];
let heartbeats: StorageHeartbeat[];
let running: DistributorProcess[];

beforeAll(async () => {
  compileDistributor();
  scratch = mkdtempSync(join(tmpdir(), 'plinth-distributor-'));
  nats = await startNats(join(scratch, 'nats'));
  connection = await connectNats({ url: nats.url, name: 'test' });
  publisher = new EventPublisher(connection, 'test');
  trust(join(scratch, 'keys'), key);
  repository = await new HostileRepository().start();
});

afterAll(async () => {
  await connection?.close();
  await repository?.stop();
  await nats?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

beforeEach(() => {
  node = `sn-${randomBytes(3).toString('hex')}`;
  storage = join(scratch, node);
  reports = [];
  heartbeats = [];
  running = [];
  subscriptions = [
    follow(MASTER_REPORTS, MasterReport, (report) => report.node === node && reports.push(report)),
    follow(STORAGE_HEARTBEATS, StorageHeartbeat, (heartbeat) => heartbeat.node === node && heartbeats.push(heartbeat)),
  ];
});

afterEach(async () => {
  await Promise.all(running.map((distributor) => distributor.end('SIGKILL')));
  for (const subscription of subscriptions) subscription.unsubscribe();
});

function follow<T extends object>(subject: string, payload: new () => T, take: (value: T) => unknown): Subscription {
  return connection.subscribe(subject, {
    callback: (error, message) => {
      const decoded = decodePayload(payload, message.data);
      if (error || !decoded.ok) throw error ?? new Error(`${message.subject} breaks its contract: ${JSON.stringify(decoded)}`);
      take(decoded.value);
    },
  });
}

async function distributor(env: Record<string, string> = {}): Promise<DistributorProcess> {
  const started = await DistributorProcess.start({
    NATS_URL: nats.url,
    PLINTH_STORAGE_NODE: node,
    PLINTH_STORAGE_DIR: storage,
    PLINTH_DATACENTER: 'west',
    PLINTH_LABELS: 'tier=ssd',
    PLINTH_TRUSTED_KEYS: join(scratch, 'keys'),
    PLINTH_DOWNLOAD_STALL_SECONDS: '1',
    PLINTH_RETRY_MAX_SECONDS: '1',
    ...env,
  });
  running.push(started);
  return started;
}

async function until<T>(what: () => T | undefined | false, patienceMs = 20_000): Promise<T> {
  for (const end = Date.now() + patienceMs; ; ) {
    const value = what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`did not come: ${what.toString()}; reports: ${JSON.stringify(reports)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const promote = (promotion: ImagePromoted, id?: string): Promise<unknown> =>
  publisher.publish({ subject: SUBJECTS.imagePromoted, data: promotion, id, correlationId: 'request-1' });
const small = (name: string): Promise<TestImage> => makeImage({ 'etc/hostname': name, 'usr/bin/tool': 'binary', bin: { to: 'usr/bin' } }, key, { name });
const distributed = (): MasterReport | undefined => reports.find((report) => report.kind === 'distributed');

describe('distributor', () => {
  it('brings a promoted image to the disk, reports it and shows it in its heartbeat', async () => {
    const image = await small('first');
    const first = await distributor();
    await promote(promotionOf(image, [repository.put(image)]));
    const report = await until(distributed);
    expect(report).toMatchObject({
      node,
      name: 'first',
      version: 'v1',
      contentDigest: image.manifest.contentDigest,
      mountScriptDigest: image.manifest.mountScript.digest,
      downloadedBytes: image.archive.length,
      unpackedBytes: image.manifest.totals.bytes,
      attempt: 1,
    });
    const directory = join(storage, 'images/first/v1');
    expect(readdirSync(directory).sort()).toEqual(['manifest.json', 'mount.sh', 'root', 'signature.json']);
    expect(readFileSync(join(directory, 'root/etc/hostname'), 'utf8')).toBe('first');
    expect(readlinkSync(join(directory, 'root/bin'))).toBe('usr/bin');
    expect(lstatSync(join(directory, 'root/etc')).mtimeMs).toBe(1_700_000_000_000);
    await until(() => readdirSync(join(storage, 'wanted')).length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
    expect(readdirSync(join(storage, 'locks'))).toEqual([]);
    const heartbeat = await until(() => heartbeats.find(({ images }) => images.length === 1));
    expect(heartbeat).toMatchObject({ datacenter: 'west', labels: { tier: 'ssd', datacenter: 'west' }, images: [{ name: 'first', version: 'v1' }] });
    expect(heartbeat.freeBytes).toBeGreaterThan(0);
    expect(await first.readiness()).toMatchObject({ status: 200, missing: {} });
    expect(await first.end()).toBe(0);
    expect(masterReport(node)).toBe(`report.node.${node}.image`);
  });
});
