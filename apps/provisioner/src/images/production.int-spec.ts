/** What is in production as state on the bus, written by two provisioners on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  desiredImage,
  type ImageSource,
  masterReport,
  type ProductionImage,
  type StorageHeartbeat,
  storageHeartbeat,
  STREAMS,
  SUBJECTS,
} from '@plinth/contracts';
import { DataSource } from 'typeorm';
import { republishAll } from '../containers/desired-state.js';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const NAME = 'debian-12';
const DIGEST = `sha256:${'c'.repeat(64)}` as const;

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, [], 1, { PLINTH_HOST_LOST_SECONDS: '4' });
});
afterAll(() => suite?.close());

async function stored(
  version: string,
): Promise<{ readonly sequence: number; readonly data: ProductionImage } | undefined> {
  const jsm = await suite.connection.jetstreamManager();
  const found = await jsm.streams
    .getMessage(STREAMS.desired.name, { last_by_subj: desiredImage(NAME, version) })
    .catch(() => undefined);
  return (
    found && { sequence: found.seq, data: JSON.parse(Buffer.from(found.data).toString('utf8')) as ProductionImage }
  );
}

const becomes = (version: string, fits: (data: ProductionImage) => boolean, what: string): Promise<ProductionImage> =>
  suite.until(async () => {
    const found = await stored(version);
    return found && fits(found.data) ? found.data : undefined;
  }, what);

const promoted = (version: string, to?: readonly string[]): Promise<string> =>
  suite.ask(SUBJECTS.imagePromoted, {
    ...{ name: NAME, version, contentDigest: DIGEST, manifestDigest: DIGEST, archiveDigest: DIGEST },
    ...{ archiveBytes: 10, unpackedBytes: 20, sources: [`http://builder/images/${NAME}/${version}`] },
    ...(to && { to }),
  });

const beat = (node: string, datacenter: string, images: StorageHeartbeat['images'] = []): void => {
  const subject = storageHeartbeat(node);
  const data: StorageHeartbeat = {
    ...{ node, at: new Date().toISOString(), datacenter, labels: { datacenter }, totalBytes: 10, freeBytes: 5, images },
    servesAt: `http://${node}.internal:8090/`,
  };
  suite.connection.publish(subject, JSON.stringify(data));
};
const nodesOf = (sources: readonly ImageSource[]): readonly (string | undefined)[] =>
  sources.map(({ node }) => node).sort();

describe('what is in production', () => {
  it('is there for who joins later, with all that it was ever promoted to', async () => {
    await promoted('v1', ['sn-1']);
    await becomes('v1', ({ to }) => to?.length === 1, 'it is in production');
    const id = await promoted('v1', ['datacenter=west']);
    const state = await becomes('v1', ({ to }) => to?.length === 2, 'it is promoted to others, too');
    expect(state).toEqual({
      ...{ name: NAME, version: 'v1', state: 'promoted', contentDigest: DIGEST, manifestDigest: DIGEST },
      ...{ archiveDigest: DIGEST, archiveBytes: 10, unpackedBytes: 20, promotionId: id, correlationId: id },
      ...{ to: ['datacenter=west', 'sn-1'], sources: [{ url: `http://builder/images/${NAME}/v1` }], seeds: [] },
    });
  });

  it('names who is to fetch it, who serves it, and neither when the node is lost', async () => {
    const isLiving = new Set(['sn-1', 'sn-2', 'sn-3']);
    const held: StorageHeartbeat['images'] = [
      { name: NAME, version: 'v1', contentDigest: DIGEST, mountScriptDigest: DIGEST },
    ];
    const beating = setInterval(() => {
      if (isLiving.has('sn-1')) beat('sn-1', 'east', held);
      if (isLiving.has('sn-2')) beat('sn-2', 'west');
      if (isLiving.has('sn-3')) beat('sn-3', 'north');
    }, 200);
    try {
      const state = await becomes(
        'v1',
        ({ seeds, sources }) => seeds.length === 2 && sources.length === 2,
        'targets are named, and the holder',
      );
      expect(nodesOf(state.seeds)).toEqual(['sn-1', 'sn-2']);
      expect(state.sources[1]).toEqual({
        url: `http://sn-1.internal:8090/images/${NAME}/v1`,
        dataCenter: 'east',
        node: 'sn-1',
      });
      const report = { kind: 'distributed', node: 'sn-2', name: NAME, version: 'v1', at: new Date().toISOString() };
      await suite.ask(masterReport('sn-2'), { ...report, contentDigest: DIGEST, mountScriptDigest: DIGEST });
      await becomes('v1', ({ sources }) => sources.length === 3, 'the second holder is named');
      isLiving.delete('sn-1');
      const left = await becomes('v1', ({ sources }) => nodesOf(sources).join() === 'sn-2,', 'the first one is lost');
      expect(nodesOf(left.seeds)).toEqual(['sn-2']);
    } finally {
      clearInterval(beating);
    }
  });

  it('is written again when the bus has lost it, and not when nothing changed', async () => {
    await promoted('v2');
    await becomes('v2', ({ state }) => state === 'promoted', 'v2 is in production');
    const jsm = await suite.connection.jetstreamManager();
    await jsm.streams.purge(STREAMS.desired.name);
    const source = await new DataSource({
      type: 'postgres',
      url: suite.databaseUrl,
      extra: { options: '-c search_path=provisioner' },
    }).initialize();
    await source.transaction(republishAll);
    await becomes('v2', ({ state }) => state === 'promoted', 'it is there again');
    const { sequence } = (await stored('v2')) ?? {};
    await source.query(`INSERT INTO production_changes (name, version, due) VALUES ('${NAME}', 'v2', now())`);
    await suite.until(
      async () => (await source.query(`SELECT 1 FROM production_changes WHERE version = 'v2'`)).length === 0,
      'the change is taken',
    );
    await suite.allPublished();
    expect((await stored('v2'))?.sequence).toBe(sequence);
    await source.destroy();
  });

  it('keeps a mark of what is revoked or retired', async () => {
    await suite.jetstream.publish(SUBJECTS.imageRevoked, JSON.stringify({ name: NAME, version: 'v2', reason: 'CVE' }));
    expect(await becomes('v2', ({ state }) => state === 'revoked', 'v2 is revoked')).toMatchObject({
      ...{ reason: 'CVE', sources: [], seeds: [] },
    });
    await suite.ask(SUBJECTS.imageRetirementRequested, { image: `${NAME}@v2` });
    await becomes('v2', ({ state }) => state === 'retired', 'v2 is retired');
  });
});
