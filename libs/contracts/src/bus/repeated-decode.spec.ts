/** What only checks the changes decodes as what checks everything. */
import 'reflect-metadata';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Decoded, decodePayload } from './decode.js';
import { HostHeartbeat, StorageHeartbeat } from './events/heartbeats.js';
import { RepeatedDecoder } from './repeated-decode.js';

const BEAT = {
  host: 'host-1',
  incarnation: '0'.repeat(32),
  at: '2026-01-05T12:00:00.000Z',
  datacenter: 'dc-1',
  storageNodes: ['sn-1'],
  capacity: { memoryBytes: 1e9, cpus: 64, containers: 100 },
  load: { load1: 1, memoryUsedBytes: 5, containers: 3 },
  runtime: 'crun',
  ownUsers: ['sn-1'],
};

function decoded<T extends object>(decoder: RepeatedDecoder<T>, sender: string, body: Uint8Array): Decoded<T> {
  const found = decoder.decode(sender, body);
  return found.ok ? { ok: true, value: found.value } : found;
}

const bodies = fc.oneof(
  fc.record({ at: fc.constantFrom('2026-01-05T12:00:03.000Z', 'yesterday', 5, null, undefined) }),
  fc.record({ load: fc.record({ load1: fc.double(), memoryUsedBytes: fc.integer(), containers: fc.nat() }) }),
  fc.record({ load: fc.constantFrom(null, 5, [], {}, { ...BEAT.load, more: 1 }, { ...BEAT.load, load1: 'much' }) }),
  fc.record({ capacity: fc.record({ memoryBytes: fc.nat(), cpus: fc.nat(), containers: fc.nat(), load: fc.nat() }) }),
  fc.record({ capacity: fc.constantFrom({ ...BEAT.capacity, at: 'x' }, { ...BEAT.capacity, load: {} }) }),
  fc.record({ host: fc.constantFrom('host-1', 'host-2', 'Host', 7) }),
  fc.record({ newer: fc.anything() }),
  fc.constant({}),
);

it.each(['refused', 'ignored'] as const)('with unknown fields %s', (unknown) => {
  fc.assert(
    fc.property(fc.array(bodies, { maxLength: 12 }), (changes) => {
      const decoder = new RepeatedDecoder(HostHeartbeat, unknown);
      for (const change of changes) {
        const body = Buffer.from(JSON.stringify({ ...BEAT, ...change }) ?? '');
        expect(decoded(decoder, 'host-1', body)).toEqual(decodePayload(HostHeartbeat, body, unknown));
      }
    }),
  );
});

const NODE = {
  node: 'sn-1',
  at: '2026-01-05T12:00:00.000Z',
  datacenter: 'dc-1',
  labels: {},
  totalBytes: 10,
  freeBytes: 5,
  images: [],
  leases: [{ host: 'host-1', renewal: '0'.repeat(32), ttlSeconds: 30, unrenewedMs: 5 }],
};
const [LEASE] = NODE.leases;

it('of storage nodes too', () => {
  const changes = fc.oneof(
    fc.record({ freeBytes: fc.oneof(fc.integer(), fc.double(), fc.constantFrom(null, '5')) }),
    fc.record({
      leases: fc.oneof(
        fc.array(
          fc.constantFrom<unknown>(LEASE, { ...LEASE, ttlSeconds: 0 }, { ...LEASE, host: 'A' }, 5, null, [], {}),
        ),
        fc.array(fc.integer().map((unrenewedMs) => ({ ...LEASE, unrenewedMs }))),
        fc.array(fc.constantFrom({ ...LEASE, unrenewedMs: 7 }, { ...LEASE, renewal: '1'.repeat(32) }), {
          maxLength: 3,
        }),
        fc.constantFrom(null, undefined, 'x', { ...LEASE, more: 1 }, [{ ...LEASE, more: 1 }]),
      ),
    }),
    fc.constant({}),
  );
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 8 }), (all) => {
      const decoder = new RepeatedDecoder(StorageHeartbeat, 'ignored');
      for (const change of all) {
        const body = Buffer.from(JSON.stringify({ ...NODE, ...change }));
        expect(decoded(decoder, 'sn-1', body)).toEqual(decodePayload(StorageHeartbeat, body, 'ignored'));
      }
    }),
  );
});

it('decodes what is no object as what checks everything', () => {
  const decoder = new RepeatedDecoder(HostHeartbeat, 'ignored');
  for (const text of ['', '[]', 'null', '5', '{', '{"__proto__": {}}'])
    expect(decoded(decoder, 'host-1', Buffer.from(text))).toEqual(
      decodePayload(HostHeartbeat, Buffer.from(text), 'ignored'),
    );
});

it('says whether anything else has changed since the last one of the sender that was right', () => {
  const decoder = new RepeatedDecoder(HostHeartbeat, 'ignored');
  const labels = { rack: 'r-1', gpu: 'yes' };
  const turns: readonly (readonly [object, boolean | string])[] = [
    [{ ...BEAT, labels }, false],
    [{ ...BEAT, labels, at: '2026-01-05T12:00:03.000Z', load: { ...BEAT.load, load1: 7 } }, true],
    [{ ...BEAT, labels: { gpu: 'yes', rack: 'r-1' } }, true],
    [{ ...BEAT, labels: { ...labels, rack: 'r-2' } }, false],
    [{ ...BEAT, labels: { ...labels, rack: 'r-2', more: 'x' } }, false],
    [{ ...BEAT, load: 'much' }, 'invalid'],
    [{ ...BEAT, labels: { ...labels, rack: 'r-2', more: 'x' } }, true],
    [{ ...BEAT, storageNodes: ['sn-1', 'sn-2'] }, false],
    [{ ...BEAT, storageNodes: ['sn-2', 'sn-1'] }, false],
    [{ ...BEAT, storageNodes: { 0: 'sn-2', 1: 'sn-1' } }, 'invalid'],
    [{ ...BEAT, newer: 1 }, false],
    [{ ...BEAT, newer: 2 }, false],
    [{ ...BEAT, newer: 2 }, true],
  ];
  const seen = turns.map(([beat]) => {
    const found = decoder.decode('host-1', Buffer.from(JSON.stringify(beat)));
    return found.ok ? found.isRepeat : 'invalid';
  });
  expect(seen).toEqual(turns.map(([, expected]) => expected));
});
