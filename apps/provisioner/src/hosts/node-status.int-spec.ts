import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type HostHeartbeat,
  type HostStatus,
  hostStatus,
  QUERIES,
  type StorageStatus,
  storageStatus,
  STREAMS,
  SUBJECTS,
} from '@plinth/contracts';
import { DataSource } from 'typeorm';
import { republishAll } from '../containers/desired-state.js';
import { recordKnownHeartbeats, recordRepeatedHeartbeats } from './known-heartbeat.store.js';
import { recordNewHeartbeats } from './new-heartbeat.store.js';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const [HOST, OTHER] = ['h-1', 'h-2'] as const;
const NODE = 'sn-1';

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, [HOST, OTHER], 100, { PLINTH_HOST_LOST_SECONDS: '6' });
});
afterAll(async () => suite?.close());

interface Stored<T> {
  readonly sequence: number;
  readonly data: T;
}

async function last<T>(subject: string): Promise<Stored<T> | undefined> {
  const jsm = await suite.connection.jetstreamManager();
  const found = await jsm.streams.getMessage(STREAMS.status.name, { last_by_subj: subject }).catch(() => undefined);
  return found && { sequence: found.seq, data: JSON.parse(Buffer.from(found.data).toString('utf8')) as T };
}

const host = (): Promise<Stored<HostStatus> | undefined> => last<HostStatus>(hostStatus(HOST));
const storage = (): Promise<Stored<StorageStatus> | undefined> => last<StorageStatus>(storageStatus(NODE));

const becomes = <T>(read: () => Promise<Stored<T> | undefined>, fits: (data: T) => boolean, what: string) =>
  suite.until(async () => {
    const found = await read();
    return found && fits(found.data) ? found : undefined;
  }, what);

const database = (): Promise<DataSource> =>
  new DataSource({
    type: 'postgres',
    url: suite.databaseUrl,
    extra: { options: '-c search_path=provisioner' },
  }).initialize();

async function someHeartbeats(): Promise<void> {
  const lastSeen = async (): Promise<number> =>
    Date.parse((await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items[0]?.lastSeenAt ?? '');
  const seen = await lastSeen();
  await suite.until(async () => (await lastSeen()) - seen > 1_000, 'some heartbeats were received');
}

describe('the status of a host and of a storage node', () => {
  it('is published when they join', async () => {
    const { data } = await becomes(host, ({ state }) => state === 'ready', 'the host is ready');
    expect(data).toMatchObject({ host: HOST, cordoned: false, drain: null, datacenter: 'dc-1', storageNodes: [NODE] });
    expect((await suite.until(storage, 'the storage node is known')).data).toMatchObject({
      node: NODE,
      state: 'ready',
    });
    expect(suite.of(SUBJECTS.storageJoined, { node: NODE })).toHaveLength(1);
  });

  it('reports what was changed: scheduling and labels', async () => {
    await suite.ask(SUBJECTS.hostCordonRequested, { host: HOST });
    await becomes(host, ({ cordoned }) => cordoned, 'it is cordoned');
    await suite.ask(SUBJECTS.hostDrainRequested, { host: HOST });
    await suite.fact(SUBJECTS.hostDrained, { host: HOST });
    await becomes(host, ({ cordoned, drain }) => cordoned && drain === null, 'it is drained');
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: HOST });
    await becomes(host, ({ cordoned }) => !cordoned, 'it is uncordoned');
    suite.hosts.labels = { rack: 'r-7' };
    await becomes(storage, ({ labels }) => labels['rack'] === 'r-7', 'the labels are known');
  });

  it('is not published with each heartbeat', async () => {
    // One from before the labels may be handled late, by the other provisioner.
    await someHeartbeats();
    const [ofHost, ofStorage] = [await host(), await storage()];
    await someHeartbeats();
    expect([(await host())?.sequence, (await storage())?.sequence]).toEqual([ofHost?.sequence, ofStorage?.sequence]);
  });

  it('follows a host and a storage node that are lost and come back', async () => {
    suite.hosts.silent.add(HOST);
    suite.hosts.storageSilent = true;
    await suite.fact(SUBJECTS.storageLost, { node: NODE });
    await becomes(storage, ({ state }) => state === 'lost', 'the storage node is lost');
    await becomes(host, ({ state }) => state === 'lost', 'the host is lost');
    expect((await suite.answer<{ items: StorageStatus[] }>(QUERIES.storage, {})).items).toMatchObject([
      { state: 'lost' },
    ]);
    suite.hosts.storageSilent = false;
    suite.hosts.wake(HOST);
    await suite.fact(SUBJECTS.storageRecovered, { node: NODE });
    await becomes(storage, ({ state }) => state === 'ready', 'the storage node is back');
    await becomes(host, ({ state }) => state === 'ready', 'the host is back');
    expect(suite.of(SUBJECTS.storageLost, { node: NODE })).toHaveLength(1);
  });

  it('is what was reported last, whichever provisioner has received what', async () => {
    const source = await database();
    const host = 'h-9';
    const beat: HostHeartbeat = {
      host,
      incarnation: '0'.repeat(32),
      at: new Date().toISOString(),
      datacenter: 'dc-1',
      storageNodes: [NODE],
      capacity: { memoryBytes: 1e9, cpus: 4, containers: 10 },
      load: { load1: 1, memoryUsedBytes: 0, containers: 0 },
      runtime: 'scripted',
    };
    const { manager } = source;
    try {
      await recordNewHeartbeats(manager, [beat]);
      const [known] = await recordKnownHeartbeats(manager, [beat]);
      expect(known).toMatchObject({ host });
      const report = known?.report ?? '';
      // More than the columns take.
      const repeated = [{ beat: { ...beat, load: { load1: 1, memoryUsedBytes: 1e300, containers: 1e300 } }, report }];
      expect(await recordRepeatedHeartbeats(manager, repeated)).toEqual([host]);
      // Another one receives something else, and the first what it had received before.
      await recordNewHeartbeats(manager, [{ ...beat, labels: { rack: 'r-1' } }]);
      expect(await recordRepeatedHeartbeats(manager, repeated)).toEqual([]);
      expect(await recordKnownHeartbeats(manager, [beat])).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  it('is published again when the bus lost it', async () => {
    await (await suite.connection.jetstreamManager()).streams.purge(STREAMS.status.name);
    const source = await database();
    await source.transaction(republishAll);
    await source.destroy();
    await suite.until(host, 'the host is known again');
    await suite.until(storage, 'the storage node is known again');
  });
});
