/** What the stores of hosts are to hold, decided by two provisioners on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  desiredHostImages,
  desiredImage,
  type HostHeartbeat,
  hostHeartbeat,
  type HostImageReport,
  hostImageReport,
  type HostImages,
  type HostStatus,
  QUERIES,
  STREAMS,
  SUBJECTS,
} from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const OS = 'debian-12';

let suite: ProvisionerSuite;
let beating: NodeJS.Timeout;
/** What the stores of hosts hold, by host. */
const stores = new Map<string, string[]>();

beforeAll(async () => {
  // One host of the suite has no store.
  suite = await ProvisionerSuite.open(2, ['plain'], 100);
  for (const host of ['east-1', 'east-2', 'west-1']) stores.set(host, []);
  beating = setInterval(() => {
    for (const [host, images] of stores) {
      const beat: HostHeartbeat = {
        ...{ host, incarnation: '0'.repeat(32), at: new Date().toISOString(), datacenter: host.split('-')[0] ?? '' },
        ...{ storageNodes: ['sn-1'], capacity: { memoryBytes: 1e9, cpus: 4, containers: 10 } },
        ...{ load: { load1: 1, memoryUsedBytes: 0, containers: 0 }, runtime: 'scripted', labels: { arch: 'amd64' } },
        ...{ images, servesAt: `http://${host}.internal` },
      };
      suite.connection.publish(hostHeartbeat(host), JSON.stringify(beat));
    }
  }, 200);
  for (const version of ['v1', 'v2', 'v3']) await suite.promote(OS, version);
});
afterAll(async () => {
  clearInterval(beating);
  await suite?.close();
});

async function desired(host: string): Promise<HostImages | undefined> {
  const jsm = await suite.connection.jetstreamManager();
  const found = await jsm.streams
    .getMessage(STREAMS.desired.name, { last_by_subj: desiredHostImages(host) })
    .catch(() => undefined);
  return found && (JSON.parse(Buffer.from(found.data).toString('utf8')) as HostImages);
}
const becomes = (host: string, fits: (images: HostImages) => boolean, what: string): Promise<HostImages> =>
  suite.until(async () => {
    const found = await desired(host);
    return found && fits(found) ? found : undefined;
  }, what);
const answer = (requestId: string): Promise<Record<string, unknown>> =>
  suite.until(
    () => suite.of(SUBJECTS.imageCacheChanged, { requestId })[0] ?? suite.of(SUBJECTS.imageRejected, { requestId })[0],
    'the request is answered',
  );
const report = (host: string, image: string, state: HostImageReport['state'], more: Partial<HostImageReport> = {}) =>
  suite.ask(hostImageReport(host), { host, image, state, at: new Date().toISOString(), ...more });

it('a host that joins with a full store is a source at once', async () => {
  stores.set('south-1', [`${OS}@v1`]);
  await suite.until(async () => {
    const jsm = await suite.connection.jetstreamManager();
    const subject = desiredImage(OS, 'v1');
    const found = await jsm.streams.getMessage(STREAMS.desired.name, { last_by_subj: subject });
    return Buffer.from(found.data).toString('utf8').includes('http://south-1.internal/images/debian-12/v1');
  }, 'it is listed');
});

describe('hosts with a store', () => {
  it('are to hold the default image, and no other host is', async () => {
    await becomes('east-1', ({ ahead }) => ahead.length === 0, 'nothing is wished yet');
    await suite.ask(SUBJECTS.imageActivationRequested, { image: `${OS}@v1` });
    for (const host of stores.keys())
      expect(await becomes(host, ({ ahead }) => ahead.length === 1, 'the default is wished')).toEqual({
        ...{ host, pinned: [], evict: [] },
        ahead: [{ image: `${OS}@v1`, reason: 'default' }],
      });
    expect(await desired('plain')).toBeUndefined();
  });

  it('are asked by name, by labels, or all of them', async () => {
    const prefetch = { image: `${OS}@v2` };
    const byName = await suite.ask(SUBJECTS.imagePrefetchRequested, { ...prefetch, hosts: ['west-1'] });
    expect(await answer(byName)).toMatchObject({ operation: 'prefetch', name: OS, version: 'v2', hosts: 1 });
    const byLabel = await suite.ask(SUBJECTS.imagePinRequested, {
      ...{ image: `${OS}@v3`, labels: { datacenter: 'east', arch: 'amd64' }, pinned: true },
    });
    expect(await answer(byLabel)).toMatchObject({ operation: 'pin', hosts: 2 });
    expect(await answer(await suite.ask(SUBJECTS.imagePrefetchRequested, prefetch))).toMatchObject({ hosts: 3 });
    await becomes('west-1', ({ ahead, pinned }) => ahead.length === 2 && pinned.length === 0, 'it is to fetch v2');
    await becomes('east-2', ({ ahead, pinned }) => ahead.length === 2 && pinned[0] === `${OS}@v3`, 'it keeps v3');
    const unpin = await suite.ask(SUBJECTS.imagePinRequested, { image: `${OS}@v3`, hosts: ['east-2'], pinned: false });
    expect(await answer(unpin)).toMatchObject({ operation: 'unpin', hosts: 1 });
    await becomes('east-2', ({ pinned }) => pinned.length === 0, 'it need not keep v3');
  });

  it.each([
    [SUBJECTS.imagePrefetchRequested, { image: `${OS}@v9` }, 'image-not-found', 'prefetch'],
    [SUBJECTS.imagePinRequested, { image: `${OS}@v2`, hosts: ['nobody'], pinned: true }, 'host-not-found', 'pin'],
    [SUBJECTS.imageEvictRequested, { image: `${OS}@v2`, hosts: ['plain'] }, 'no-store', 'evict'],
    [SUBJECTS.imagePrefetchRequested, { image: `${OS}@v2`, labels: { rack: 'r9' } }, 'no-store', 'prefetch'],
    [SUBJECTS.imagePrefetchRequested, { image: 'x' }, 'invalid-request', 'prefetch'],
  ])('%s %j is refused: %s', async (subject, body, reason, operation) => {
    expect(await answer(await suite.ask(subject, body))).toMatchObject({ reason, operation });
  });

  it('are sources of what they hold, and report it', async () => {
    stores.get('west-1')?.push(`${OS}@v2`);
    await report('west-1', `${OS}@v2`, 'cached', { downloadedBytes: 7, durationMs: 5, source: 'http://x/y' });
    expect(await suite.fact(SUBJECTS.imageCached, { host: 'west-1' })).toMatchObject({
      ...{ name: OS, version: 'v2', downloadedBytes: 7, source: 'http://x/y' },
    });
    await report('east-1', `${OS}@v2`, 'failed', { reason: 'no-space', message: 'full', retryInMs: 9 });
    expect(await suite.fact(SUBJECTS.imageCacheFailed, { host: 'east-1' })).toMatchObject({ reason: 'no-space' });
    await suite.until(async () => {
      const { items } = await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {});
      const of = (name: string): HostStatus | undefined => items.find(({ host }) => host === name);
      return of('west-1')?.images?.[0] === `${OS}@v2` && of('plain')?.images === null;
    }, 'the list shows it');
    await suite.until(async () => {
      const jsm = await suite.connection.jetstreamManager();
      const subject = desiredImage(OS, 'v2');
      const found = await jsm.streams.getMessage(STREAMS.desired.name, { last_by_subj: subject });
      return Buffer.from(found.data).toString('utf8').includes('http://west-1.internal/images/debian-12/v2');
    }, 'others can fetch it there');
  });

  it('remove what is evicted, once', async () => {
    expect(
      await answer(await suite.ask(SUBJECTS.imageEvictRequested, { image: `${OS}@v2`, hosts: ['west-1'] })),
    ).toMatchObject({ operation: 'evict', hosts: 1 });
    await becomes('west-1', ({ evict, ahead }) => evict[0] === `${OS}@v2` && ahead.length === 1, 'it is to go');
    stores.set('west-1', []);
    await report('west-1', `${OS}@v2`, 'evicted');
    await suite.fact(SUBJECTS.imageEvicted, { host: 'west-1' });
    await becomes('west-1', ({ evict }) => evict.length === 0, 'it is gone');
  });

  it('that join later, or get the labels, keep what was pinned by labels', async () => {
    const rule = { image: `${OS}@v2`, labels: { datacenter: 'north' }, pinned: true };
    expect(await answer(await suite.ask(SUBJECTS.imagePinRequested, rule))).toMatchObject({ hosts: 0 });
    stores.set('north-1', []);
    await becomes('north-1', ({ pinned }) => pinned.includes(`${OS}@v2`), 'it is to keep v2');
    await answer(await suite.ask(SUBJECTS.imagePinRequested, { ...rule, labels: { rack: 'r7' } }));
    await suite.ask(SUBJECTS.hostLabelRequested, { host: 'west-1', set: { rack: 'r7' } });
    await becomes('west-1', ({ pinned }) => pinned.includes(`${OS}@v2`), 'it has the label');

    // What is unpinned on a host stays so; a rule that is gone holds for nobody who joins.
    await answer(
      await suite.ask(SUBJECTS.imagePinRequested, { ...{ image: rule.image, hosts: ['north-1'] }, pinned: false }),
    );
    await becomes('north-1', ({ pinned }) => !pinned.includes(`${OS}@v2`), 'it need not keep v2');
    await answer(await suite.ask(SUBJECTS.imagePinRequested, { image: rule.image, pinned: false }));
    stores.set('north-2', []);
    await becomes('north-2', ({ ahead }) => ahead.length === 1, 'it has joined');
    expect((await desired('north-2'))?.pinned).toEqual([]);
    expect((await desired('north-1'))?.pinned).toEqual([]);
  });

  it('are wished nothing that is retired', async () => {
    await becomes('east-1', ({ pinned }) => pinned.length === 1, 'v3 is kept');
    await suite.ask(SUBJECTS.imageRetirementRequested, { image: `${OS}@v3` });
    await becomes('east-1', ({ pinned }) => pinned.length === 0, 'v3 is out of production');
  });

  it('make a version that no storage node holds fit for the default: they fetch it', async () => {
    await suite.promote(OS, 'v4', false);
    await suite.ask(SUBJECTS.imageActivationRequested, { image: `${OS}@v4` });
    await suite.fact(SUBJECTS.imageActivated, { version: 'v4' });
    await becomes('east-1', ({ ahead }) => ahead.some(({ image }) => image === `${OS}@v4`), 'they are to hold it');
  });
});
