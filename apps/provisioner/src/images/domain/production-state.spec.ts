import type { Digest, ImagePromoted } from '@plinth/contracts';
import { productionImage, promote, type ServingNode, type VersionInProduction } from './production-state.js';

const digest: Digest = `sha256:${'a'.repeat(64)}`;
const event = (to?: string[]): ImagePromoted => ({
  name: 'debian-12',
  version: 'v1',
  contentDigest: digest,
  manifestDigest: digest,
  archiveDigest: digest,
  archiveBytes: 5,
  unpackedBytes: 9,
  sources: ['http://builder/images/debian-12/v1'],
  ...(to && { to }),
});
const cause = { id: 'event-1', correlationId: 'request-1' };
const image = (change: Partial<VersionInProduction> = {}): VersionInProduction => ({
  name: 'debian-12',
  version: 'v1',
  state: 'promoted',
  promotion: promote(null, event(), cause),
  contentDigest: digest,
  archiveBytes: 5,
  unpackedBytes: 9,
  architecture: null,
  reason: null,
  ...change,
});
const nodes = (dataCenter: string, count: number): ServingNode[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `${dataCenter}-${index}`,
    dataCenter,
    labels: { datacenter: dataCenter },
    servesAt: `http://${dataCenter}-${index}:80/`,
    isHost: false,
  }));

describe('targets of several promotions', () => {
  it.each([
    [undefined, undefined, null],
    [['sn-1'], undefined, null],
    [undefined, ['sn-1'], null],
    [['sn-2'], ['sn-1', 'sn-2'], ['sn-1', 'sn-2']],
  ])('%j and %j are %j', (first, second, both) => {
    expect(promote(promote(null, event(first), cause), event(second), cause).to).toEqual(both);
  });
});

describe('the state of a version', () => {
  const all = [...nodes('east', 40), ...nodes('west', 2)];

  it('lists image-builders, then at most 32 holders of each data centre', () => {
    const found = productionImage(image(), all, new Set(all.map(({ name }) => name)));
    expect(found?.sources[0]).toEqual({ url: 'http://builder/images/debian-12/v1' });
    expect(found?.sources.slice(1)).toHaveLength(34);
    expect(found?.sources.at(-1)).toEqual({
      url: 'http://west-1:80/images/debian-12/v1',
      dataCenter: 'west',
      node: 'west-1',
    });
  });

  it('names the first targets of each data centre as those that fetch it first, with or without it', () => {
    const to = promote(null, event(['datacenter=west', 'east-7']), cause);
    const found = productionImage(image({ promotion: to }), all, new Set());
    expect(found?.seeds.map(({ node }) => node)).toEqual(['east-7', 'west-0', 'west-1']);
    expect(found?.sources).toHaveLength(1);
    expect(productionImage(image(), all, new Set())?.seeds.map(({ node }) => node)).toEqual([
      ...['east-0', 'east-1', 'east-2'],
      ...['west-0', 'west-1'],
    ]);
  });

  it('has hosts among the sources, and not among those that fetch it first', () => {
    const host: ServingNode = { name: 'h-1', dataCenter: 'east', labels: {}, servesAt: 'http://h-1', isHost: true };
    const found = productionImage(image(), [host], new Set(['h-1']));
    expect(found?.sources.at(-1)?.node).toBe('h-1');
    expect(found?.seeds).toEqual([]);
  });

  it('is not known before its promotion, but its end is', () => {
    expect(productionImage(image({ promotion: null }), all, new Set())).toBeUndefined();
    expect(productionImage(image({ promotion: null, state: 'retired' }), all, new Set(['east-0']))).toEqual({
      ...{ name: 'debian-12', version: 'v1', state: 'retired', contentDigest: digest, unpackedBytes: 9 },
      ...{ sources: [], seeds: [] },
    });
    expect(productionImage(image({ state: 'revoked', reason: 'CVE' }), all, new Set())).toMatchObject({
      state: 'revoked',
      reason: 'CVE',
      sources: [],
    });
  });
});
