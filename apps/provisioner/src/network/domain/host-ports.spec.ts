import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { candidateHost } from '../../testing/candidate-host.js';
import { candidatePorts, choosePorts, parsePortRange, type PortWish, portWishes, takenOf } from './host-ports.js';

const RANGE = { first: 30_000, last: 30_003 };

describe('the range of ports that are given out', () => {
  it.each([
    ['30000-32767', { first: 30_000, last: 32_767 }],
    ['1-65535', { first: 1, last: 65_535 }],
    ['80-80', { first: 80, last: 80 }],
  ])('%s', (text, range) => expect(parsePortRange(text)).toEqual(range));
  it.each(['', '30000', '32767-30000', '0-10', '1-65536', '1-2-3', ' 1-2', '1 - 2', '01-2'])('refuses %j', (text) =>
    expect(parsePortRange(text)).toBeUndefined(),
  );

  it.each([
    [0, [30_000, 30_003, 30_002]],
    [0.99, [30_003, 30_002, 30_001]],
    [0.5, [30_002, 30_001, 30_000]],
  ])('is tried from a random port on: %d', (random, expected) =>
    expect(candidatePorts(RANGE, 3, random)).toEqual(expected),
  );

  it('is tried whole, each port once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (size, random) => {
          const range = { first: 30_000, last: 29_999 + size };
          const all = candidatePorts(range, Number.POSITIVE_INFINITY, random);
          expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, index) => 30_000 + index));
        },
      ),
    );
  });
});

describe('choosePorts', () => {
  const ask = (containerPort: number, hostPort?: number, asked = hostPort !== undefined): PortWish => ({
    protocol: 'tcp',
    containerPort,
    ...(hostPort !== undefined && { hostPort }),
    asked,
  });
  const choose = (wishes: PortWish[], taken: string[]) => {
    const choice = choosePorts(wishes, new Set(taken), candidatePorts(RANGE, 4, 0));
    return choice.ok ? choice.ports.map(({ hostPort }) => hostPort) : choice.reason;
  };
  it.each<[string, PortWish[], string[], number[] | string]>([
    ['none', [], [], []],
    ['what is asked for', [ask(80, 8080)], ['8080/udp'], [8080]],
    ['nothing else than what is asked for', [ask(80, 8080)], ['8080/tcp'], 'taken'],
    ['the first that is free', [ask(80), ask(81)], ['30000/tcp', '30002/tcp'], [30_003, 30_001]],
    ['what is asked for before what is given out', [ask(80), ask(81, 30_000)], [], [30_003, 30_000]],
    ['the one that it had, if it is free', [ask(80, 30_002, false)], [], [30_002]],
    ['another, if the one that it had is taken', [ask(80, 30_002, false)], ['30002/tcp'], [30_000]],
    ['nothing when all are taken', [ask(80), ask(81)], ['30000/tcp', '30001/tcp', '30002/tcp'], 'short'],
    ['the same number for both protocols', [ask(53), { ...ask(53), protocol: 'udp' }], [], [30_000, 30_000]],
  ])('gives %s', (_what, wishes, taken, expected) => expect(choose(wishes, taken)).toEqual(expected));

  it('never gives a port twice, nor one that is taken, and keeps the order', () => {
    const wish = fc.record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const),
      containerPort: fc.integer({ min: 1, max: 5 }),
      hostPort: fc.option(fc.integer({ min: 29_998, max: 30_005 }), { nil: undefined }),
      asked: fc.boolean(),
    });
    const port = fc.tuple(fc.integer({ min: 29_998, max: 30_005 }), fc.constantFrom('tcp', 'udp'));
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 6 }), fc.array(port, { maxLength: 8 }), (wishes, ports) => {
        const valid = wishes.map((item) => ({ ...item, asked: item.asked && item.hostPort !== undefined }));
        const taken = new Set(ports.map(([number, protocol]) => `${number}/${protocol}`));
        const choice = choosePorts(valid, taken, candidatePorts(RANGE, 4, 0.3));
        if (!choice.ok) return;
        const given = choice.ports.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`);
        expect(new Set(given).size).toBe(given.length);
        expect(given.filter((item) => taken.has(item))).toEqual([]);
        expect(choice.ports.map(({ containerPort }) => containerPort)).toEqual(
          valid.map(({ containerPort }) => containerPort),
        );
        for (const [index, item] of valid.entries())
          if (item.asked) expect(choice.ports[index]?.hostPort).toBe(item.hostPort);
      }),
    );
  });
});

describe('wishes', () => {
  it.each([
    [{ container: 80 }, { protocol: 'tcp', containerPort: 80, asked: false }],
    [
      { container: 53, host: 5353, protocol: 'udp' as const, address: '192.0.2.1' },
      { protocol: 'udp', containerPort: 53, hostPort: 5353, hostAddress: '192.0.2.1', asked: true },
    ],
  ])('of %j', (request, wish) => expect(portWishes([request])).toEqual([wish]));
});

describe('the refusal of a port that is taken', () => {
  const holder = (host: string, tenant: string, port = 80) => ({
    host,
    protocol: 'tcp' as const,
    port,
    tenant,
    name: `${tenant}-web`,
  });
  const wishes = portWishes([{ container: 80, host: 80 }]);
  const messageOf = (hosts: readonly string[], taken: readonly ReturnType<typeof holder>[]): string =>
    takenOf(wishes, taken, 'acme')?.message(hosts.map((name) => candidateHost(name))) ?? '';

  it('is about the ports of the request only', () => {
    expect(takenOf(wishes, [holder('a', 'acme', 81), holder('b', 'acme')], 'acme')?.on).toEqual(new Set(['b']));
    expect(takenOf(wishes, [{ ...holder('a', 'acme'), protocol: 'udp' }], 'acme')).toBeUndefined();
    expect(takenOf(portWishes([{ container: 80 }]), [holder('a', 'acme')], 'acme')).toBeUndefined();
  });
  it("names the tenant's own container, and no other's", () => {
    const message = messageOf(['a', 'b'], [holder('a', 'acme'), holder('b', 'zeta'), holder('c', 'acme')]);
    expect(message).toMatch(
      /each of the 2 hosts.*80\/tcp on a by container acme-web, 80\/tcp on b by another tenant's/,
    );
    expect(message).not.toMatch(/zeta|on c/);
  });
  it('is short however many hosts there are', () => {
    const hosts = Array.from({ length: 500 }, (_, index) => `h-${index}`);
    const message = messageOf(
      hosts,
      hosts.map((name) => holder(name, 'acme')),
    );
    expect(message).toMatch(/and 495 more/);
    expect(message.length).toBeLessThan(500);
  });
});
