import { describe, expect, it } from '@jest/globals';
import type { PortRequest } from '@plinth/contracts';
import type { GivenPort } from './host-ports.js';
import { changePorts, givenAgain, mayGiveAgain } from './port-change.js';

const given = (hostPort: number, containerPort: number, more: Partial<GivenPort> = {}): GivenPort => ({
  protocol: 'tcp',
  hostPort,
  containerPort,
  asked: false,
  ...more,
});
const WEB = given(30_001, 80);
const TLS = given(8443, 443, { asked: true });

describe('changed ports', () => {
  const shape = (publish: PortRequest[], unpublish: PortRequest[] = [], present = [WEB, TLS]): unknown => {
    const plan = changePorts(present, publish, unpublish);
    return plan.ok
      ? [plan.isChanged, plan.wishes.map(({ hostPort, containerPort, asked }) => [hostPort, containerPort, asked])]
      : plan.message;
  };

  it.each<[string, PortRequest[], PortRequest[], unknown]>([
    [
      'one more, any host port',
      [{ container: 81 }],
      [],
      [
        true,
        [
          [30_001, 80, false],
          [8443, 443, true],
          [undefined, 81, false],
        ],
      ],
    ],
    [
      'one that it has',
      [{ container: 80 }],
      [],
      [
        false,
        [
          [30_001, 80, false],
          [8443, 443, true],
        ],
      ],
    ],
    [
      'one that it has at this host port',
      [{ container: 443, host: 8443 }],
      [],
      [
        false,
        [
          [30_001, 80, false],
          [8443, 443, true],
        ],
      ],
    ],
    [
      'the one that was given out, asked for now',
      [{ container: 80, host: 30_001 }],
      [],
      [
        true,
        [
          [30_001, 80, true],
          [8443, 443, true],
        ],
      ],
    ],
    [
      'another host port for the same',
      [{ container: 80, host: 80 }],
      [],
      [
        true,
        [
          [30_001, 80, false],
          [8443, 443, true],
          [80, 80, true],
        ],
      ],
    ],
    ['no longer', [], [{ container: 80 }], [true, [[8443, 443, true]]]],
    ['no longer, by host port', [], [{ container: 443, host: 8443 }], [true, [[30_001, 80, false]]]],
    [
      'what is not published',
      [],
      [{ container: 443, host: 1 }, { container: 9 }],
      [
        false,
        [
          [30_001, 80, false],
          [8443, 443, true],
        ],
      ],
    ],
    [
      'the same host port for another',
      [{ container: 81, host: 8443 }],
      [{ container: 443 }],
      [
        true,
        [
          [30_001, 80, false],
          [8443, 81, true],
        ],
      ],
    ],
  ])('%s', (_what, publish, unpublish, expected) => {
    expect(shape(publish, unpublish)).toEqual(expected);
  });

  it('of two addresses and protocols are different ones', () => {
    const there = given(53, 53, { hostAddress: '192.0.2.1', protocol: 'udp', asked: true });
    expect(shape([{ container: 53 }], [], [there])).toEqual([
      true,
      [
        [53, 53, true],
        [undefined, 53, false],
      ],
    ]);
    expect(shape([], [{ container: 53 }], [there])).toEqual([false, [[53, 53, true]]]);
    expect(shape([], [{ container: 53, protocol: 'udp', address: '192.0.2.9' }], [there])).toEqual([
      false,
      [[53, 53, true]],
    ]);
    expect(shape([], [{ container: 53, protocol: 'udp' }], [there])).toEqual([true, []]);
  });

  it('are refused when a host port would lead to two of its ports', () => {
    expect(shape([{ container: 81, host: 30_001 }])).toMatch(/host port 30001\/tcp leads to port 80 of this container/);
  });

  it('are refused above the most that a container may publish', () => {
    const many = Array.from({ length: 63 }, (_, index) => ({ container: index + 1_000 }));
    expect(shape(many)).toMatch(/at most 64 ports, not 65/);
  });
});

describe('ports that are given out again', () => {
  it.each<[string, GivenPort[], (number | undefined)[], string[]]>([
    ['those that were given out', [WEB, TLS], [undefined, 8443], ['30001/tcp']],
    ['none, where all were asked for', [TLS], [8443], []],
    ['all of them', [WEB, given(30_002, 53, { protocol: 'udp' })], [undefined, undefined], ['30001/tcp', '30002/udp']],
  ])('%s', (_, present, wished, avoided) => {
    const { wishes, avoid } = givenAgain(present);
    expect(wishes.map(({ hostPort }) => hostPort)).toEqual(wished);
    expect(wishes.map(({ containerPort }) => containerPort)).toEqual(present.map((port) => port.containerPort));
    expect([...avoid]).toEqual(avoided);
  });
});

it('ports are given out again twice at once, then once for each pause of the host', () => {
  let [nowMs, givenAtMs] = [0, 0];
  const drawnAt: number[] = [];
  for (let failures = 1; nowMs < 300_000; failures++) {
    const retryInMs = Math.min(1_000 * 2 ** (failures - 1), 60_000);
    if (mayGiveAgain(nowMs - givenAtMs, retryInMs)) {
      givenAtMs = nowMs;
      drawnAt.push(nowMs / 1_000);
    } else nowMs += retryInMs;
  }
  expect(drawnAt).toEqual([0, 0, 4, 20, 80, 140, 200, 260]);
});
