import { describe, expect, it } from '@jest/globals';
import { type Contract, contractFor, decodePayload, QUERIES, SUBJECTS, unknownFieldsOf } from '../index.js';

const decode = (subject: string, body: object): ReturnType<typeof decodePayload> => {
  const contract = contractFor(subject) as Contract;
  return decodePayload(contract.payload, Buffer.from(JSON.stringify(body)), unknownFieldsOf(contract.kind));
};

const LATER = { ofALaterVersion: { deep: [1] } };
const LOAD = { load1: 0, memoryUsedBytes: 0, containers: 0 };
const HEARTBEAT = {
  host: 'host-1',
  incarnation: '0'.repeat(32),
  at: '2026-01-01T00:00:00.000Z',
  datacenter: 'dc-1',
  storageNodes: [],
  capacity: { memoryBytes: 1, cpus: 1, containers: 1 },
  load: LOAD,
  runtime: 'crun 1.8.1',
};

describe('a field that the contract does not have', () => {
  it('is a mistake in what users send, and is named', () => {
    const refused = { ok: false, problems: [{ path: 'ofALaterVersion', message: expect.any(String) as unknown }] };
    expect(decode(SUBJECTS.containerRequested, { name: 'shop-1', ...LATER })).toEqual(refused);
    expect(decode(QUERIES.container, { name: 'shop-1', ...LATER })).toEqual(refused);
    expect(decode(SUBJECTS.containerRequested, { name: 'shop-1', limits: LATER })).toMatchObject({
      problems: [{ path: 'limits.ofALaterVersion' }],
    });
  });

  it('is dropped from what services send, at any depth, and the rest is checked', () => {
    const read = decode('heartbeat.host.host-1', { ...HEARTBEAT, ...LATER, load: { ...LOAD, ...LATER } });
    expect(read).toEqual({ ok: true, value: HEARTBEAT });
    expect(decode('heartbeat.host.host-1', { ...HEARTBEAT, ...LATER, datacenter: 'no name' })).toMatchObject({
      ok: false,
      problems: [{ path: 'datacenter' }],
    });
  });
});
