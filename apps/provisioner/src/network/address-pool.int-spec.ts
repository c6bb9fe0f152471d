/** A pool of addresses that is exhausted, made larger and exchanged, on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { QUERIES, SUBJECTS } from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const POOL = '10.99.0.16/28';
const LARGER = '10.99.0.0/26';
const ADDRESSES = Array.from({ length: 14 }, (_, index) => `10.99.0.${17 + index}`);

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, ['host-1', 'host-2'], 500, { PLINTH_ADDRESS_POOL: POOL });
  for (const host of ['host-1', 'host-2']) suite.hosts.networked.add(host);
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
  await suite.until(
    async () =>
      (await suite.answer<{ items: { network: boolean }[] }>(QUERIES.hosts, {})).items.filter(({ network }) => network)
        .length === 2,
    'both hosts offer addresses',
  );
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const addresses = (): string[] =>
  suite.of(SUBJECTS.containerStarted).map((fact) => (fact['address'] as { ipv4: string }).ipv4);
const sorted = (items: readonly string[]): string[] =>
  [...items].sort((a, b) => Number(a.split('.')[3]) - Number(b.split('.')[3]));

async function remove(name: string): Promise<void> {
  await suite.ask(SUBJECTS.containerRemoveRequested, { name });
  await suite.fact(SUBJECTS.containerRemoved, { name });
}

it('gives out every address but the first and the last, then refuses, and gives out what comes back', async () => {
  await Promise.all(
    Array.from({ length: 30 }, (_, index) => suite.ask(SUBJECTS.containerRequested, { name: `c-${index}` })),
  );
  await suite.until(
    () => suite.of(SUBJECTS.containerStarted).length + suite.of(SUBJECTS.containerRejected).length === 30,
    'all are answered',
  );
  expect(sorted(addresses())).toEqual(ADDRESSES);
  const refused = suite.of(SUBJECTS.containerRejected);
  expect(refused).toHaveLength(16);
  for (const fact of refused)
    expect(fact).toMatchObject({
      reason: 'address-pool-exhausted',
      message: expect.stringMatching(/all 14 addresses of the pool 10\.99\.0\.16\/28.*PLINTH_ADDRESS_POOL/),
    });
  await suite.ask(SUBJECTS.containerRequested, { name: 'alone', network: 'isolated' });
  await suite.fact(SUBJECTS.containerStarted, { name: 'alone' });
  await remove('alone');

  const gone = suite.of(SUBJECTS.containerStarted)[3];
  const address = gone?.['address'];
  await remove(String(gone?.['name']));
  await suite.ask(SUBJECTS.containerRequested, { name: 'next' });
  expect(await suite.fact(SUBJECTS.containerStarted, { name: 'next' })).toMatchObject({ address });
});

it('cannot be exchanged for one without the addresses in use', () => {
  for (const pool of ['10.98.0.0/24', '10.99.0.16/29'])
    expect(suite.refusedStart({ PLINTH_ADDRESS_POOL: pool })).toMatchObject({
      status: 78,
      stderr: expect.stringMatching(/\d+ of 14 containers have addresses outside of it; the pool is 10\.99\.0\.16\/28/),
    });
  expect(suite.refusedStart({ PLINTH_ADDRESS_POOL6: 'fd00:1::/64' })).toMatchObject({
    status: 78,
    stderr: expect.stringMatching(/14 containers have addresses of fd00:706c:696e::\/64/),
  });
  expect(suite.refusedStart({ PLINTH_ADDRESS_POOL: '10.99.0.16', PLINTH_PORT_RANGE: '2-1' })).toMatchObject({
    status: 78,
    stderr: expect.stringMatching(/PLINTH_ADDRESS_POOL must be an IPv4 network[^]*PLINTH_PORT_RANGE must be two ports/),
  });
});

it('can be made larger while containers run', async () => {
  await suite.startProvisioner('provisioner-3', { PLINTH_ADDRESS_POOL: LARGER });
  await Promise.all(
    Array.from({ length: 60 }, (_, index) => suite.ask(SUBJECTS.containerRequested, { name: `more-${index}` })),
  );
  await suite.until(
    () => suite.of(SUBJECTS.containerStarted).length + suite.of(SUBJECTS.containerRejected).length === 60,
    'all are answered',
  );
  const all = Array.from({ length: 62 }, (_, index) => `10.99.0.${index + 1}`);
  expect(sorted(addresses())).toEqual(all.filter((item) => !ADDRESSES.includes(item)));
});

it('can be exchanged when no container has an address', async () => {
  const rows = await suite.rows<{ id: string }>(`SELECT id FROM containers WHERE state <> 'removed'`);
  await Promise.all(rows.map(({ id }) => suite.ask(SUBJECTS.containerRemoveRequested, { id })));
  await suite.until(() => suite.of(SUBJECTS.containerRemoved).length === rows.length, 'all are removed');
  await suite.startProvisioner('provisioner-4', {
    PLINTH_ADDRESS_POOL: '10.98.0.0/30',
    PLINTH_ADDRESS_POOL6: 'fd00:1::/64',
  });
  await Promise.all(['a', 'b', 'c'].map((name) => suite.ask(SUBJECTS.containerRequested, { name })));
  await suite.until(
    () => suite.of(SUBJECTS.containerStarted).length + suite.of(SUBJECTS.containerRejected).length === 3,
    'all are answered',
  );
  expect(
    suite
      .of(SUBJECTS.containerStarted)
      .map((fact) => (fact['address'] as { ipv6: string }).ipv6)
      .sort(),
  ).toEqual(['fd00:1::a62:1', 'fd00:1::a62:2']);
});
