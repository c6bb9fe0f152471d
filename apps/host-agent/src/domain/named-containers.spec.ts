import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig } from '@plinth/contracts';
import { type Neighbour, namedContainer, NamedContainers } from './named-containers.js';

const own = (id: string, name = id): NonNullable<ReturnType<typeof namedContainer>> => ({
  id,
  name,
  tenant: 'acme',
  ipv4: '10.64.0.1',
  ipv6: 'fd00::1',
  local: true,
  forwards: true,
});
const neighbour = (id: string, overrides: Partial<Neighbour> = {}): Neighbour => ({
  id,
  name: id,
  host: 'host-2',
  ipv4: '10.64.0.2',
  ipv6: 'fd00::2',
  running: true,
  ...overrides,
});
const kinds = (changes: readonly { kind: string }[]): string[] => changes.map(({ kind }) => kind);

describe('a config', () => {
  const config = {
    containerId: 'a',
    name: 'shop-1',
    tenant: 'acme',
    network: 'container',
    address: { ipv4: '10.64.0.1', ipv6: 'fd00::1' },
    tenantNumber: 1,
  } as ContainerConfig;
  it('with an address has a name', () => expect(namedContainer(config)).toEqual({ ...own('a'), name: 'shop-1' }));
  it.each<[string, Partial<ContainerConfig>]>([
    ['of another network', { network: 'isolated' }],
    ['without an address', { address: undefined }],
  ])('%s has none', (_what, overrides) => expect(namedContainer({ ...config, ...overrides })).toBeUndefined());
  it('that may reach nothing outside has no names of the outside', () =>
    expect(namedContainer({ ...config, egress: { policy: 'none' } })?.forwards).toBe(false));
});

describe('names', () => {
  it('are written when they change', () => {
    const names = new NamedContainers('host-1');
    expect(kinds(names.set(own('a')))).toEqual(['set']);
    expect(names.set(own('a'))).toEqual([]);
    expect(kinds(names.set(own('a', 'other')))).toEqual(['set']);
    expect(kinds(names.gone('a'))).toEqual(['gone']);
    expect(names.gone('a')).toEqual([]);
    expect(names.all()).toEqual([]);
  });

  it('are set together', () => {
    const names = new NamedContainers('host-1');
    names.set(own('a'));
    names.set(own('b'));
    expect(names.setAll([own('b'), own('c')])).toEqual([
      { kind: 'gone', id: 'a' },
      { kind: 'set', container: own('c') },
    ]);
  });

  it('of other hosts are those that run there', () => {
    const names = new NamedContainers('host-1');
    names.setNeighbours('1/0', 'acme', [
      neighbour('a'),
      neighbour('b', { running: false }),
      neighbour('c', { host: 'host-1' }),
    ]);
    expect(names.all()).toEqual([
      { id: 'a', name: 'a', tenant: 'acme', ipv4: '10.64.0.2', ipv6: 'fd00::2', local: false, forwards: false },
    ]);
    expect(names.setNeighbours('1/0', 'acme', [neighbour('a', { running: false })])).toEqual([
      { kind: 'gone', id: 'a' },
    ]);
  });

  it('of others are looked up for no container of a closed tenant', () => {
    const names = new NamedContainers('host-1');
    const tenant = own('a').tenant;
    names.set(own('a'));
    const closed = { ...own('a'), forwards: false };
    expect(names.setClosed(tenant, true)).toEqual(own('a').forwards ? [{ kind: 'set', container: closed }] : []);
    expect(names.all()).toEqual([closed]);
    expect(names.set(own('a'))).toEqual([]);
    expect(names.setClosed('another', true)).toEqual([]);
    expect(names.setClosed(tenant, false)).toEqual([{ kind: 'set', container: own('a') }]);
  });

  it('of a group end with it, and those of others stay', () => {
    const names = new NamedContainers('host-1');
    names.setNeighbours('1/0', 'acme', [neighbour('a')]);
    names.setNeighbours('1/1', 'acme', [neighbour('b')]);
    expect(names.setNeighbours('1/0', 'acme', [])).toEqual([{ kind: 'gone', id: 'a' }]);
    expect(names.all().map(({ id }) => id)).toEqual(['b']);
  });

  it('of a container that was moved here are those that this host knows', () => {
    const names = new NamedContainers('host-1');
    names.setNeighbours('1/0', 'acme', [neighbour('a')]);
    expect(names.set(own('a'))).toEqual([{ kind: 'set', container: own('a') }]);
    expect(names.setNeighbours('1/0', 'acme', [])).toEqual([]);
    expect(names.all()).toEqual([own('a')]);
  });

  it('of a container that was moved away are those of its new host', () => {
    const names = new NamedContainers('host-1');
    names.set(own('a'));
    expect(names.setNeighbours('1/0', 'acme', [neighbour('a')])).toEqual([]);
    expect(names.gone('a')).toEqual([{ kind: 'set', container: expect.objectContaining({ local: false }) }]);
  });
});
