import { describe, expect, it } from '@jest/globals';
import { type ContainerChangeRequested, ContainerConfig } from '@plinth/contracts';
import { changedConfig, changeRefusal, requestedValues, unheldChange } from './requested-change.js';

const CONFIG = Object.assign(new ContainerConfig(), {
  name: 'shop-1',
  generation: 3,
  runGeneration: 2,
  desired: 'stopped',
  network: 'container',
  address: { ipv4: '10.64.0.1', ipv6: 'fd00::1' },
  limits: { memoryBytes: 64e6, cpus: 1, pids: 100, openFiles: 1024, io: { weight: 50, readBytesPerSecond: 4096 } },
  bandwidth: { receiveBitsPerSecond: 1e6, sendBitsPerSecond: 2e6 },
  egress: { policy: 'none' },
  ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }],
});
const without = (...fields: (keyof ContainerConfig)[]): ContainerConfig =>
  Object.assign(new ContainerConfig(), CONFIG, Object.fromEntries(fields.map((field) => [field, undefined])));

describe('limits that the host of a container can not hold', () => {
  const before = without('bandwidth');
  it.each<[string, ContainerChangeRequested, RegExp | undefined]>([
    ['are not promised', { bandwidth: { sendBitsPerSecond: 1e6 } }, /can not hold it to bandwidth;/],
    ['stay where they were promised before', { limits: { io: { weight: 70 } } }, undefined],
    ['may be taken away', { reset: ['io'] }, undefined],
    ['do not matter to others', { limits: { io: { readBytesPerSecond: 8192 } } }, undefined],
  ])('%s', (_what, request, message) =>
    expect(unheldChange(before, requestedValues(before, request), ['bandwidth', 'io-weight'])).toEqual(
      message && { ok: false, reason: 'limits-not-offered', message: expect.stringMatching(message) },
    ),
  );
});

describe('a request that changes', () => {
  it.each<[string, ContainerChangeRequested, string[], object]>([
    ['memory only', { limits: { memoryBytes: 1e9 } }, ['memory'], { limits: { ...CONFIG.limits, memoryBytes: 1e9 } }],
    ['nothing that is not so', { limits: { pids: 100, io: { weight: 50 } }, egress: { policy: 'none' } }, [], {}],
    [
      'a part of a part',
      { limits: { io: { weight: 70 } }, bandwidth: { sendBitsPerSecond: 3e6 } },
      ['io', 'bandwidth'],
      {
        limits: { ...CONFIG.limits, io: { weight: 70, readBytesPerSecond: 4096 } },
        bandwidth: { receiveBitsPerSecond: 1e6, sendBitsPerSecond: 3e6 },
      },
    ],
    [
      'by taking away',
      { reset: ['io', 'bandwidth', 'egress'], bandwidth: { sendBitsPerSecond: 3e6 } },
      ['io', 'egress', 'bandwidth'],
      { limits: { ...CONFIG.limits, io: undefined }, egress: undefined, bandwidth: { sendBitsPerSecond: 3e6 } },
    ],
    ['open files', { limits: { openFiles: 2048 } }, ['open-files'], { limits: { ...CONFIG.limits, openFiles: 2048 } }],
  ])('%s', (_what, request, changed, values) => {
    const { changed: parts, ...rest } = requestedValues(CONFIG, request);
    expect(parts).toEqual(changed);
    const { limits, egress, bandwidth } = CONFIG;
    expect(rest).toEqual({ limits, egress, bandwidth, ...values });
  });

  it.each<[string, ContainerConfig, ContainerChangeRequested, string]>([
    ['nothing', CONFIG, { id: '1' }, 'nothing that is to change'],
    ['nothing of its limits', CONFIG, { limits: {} }, 'nothing that is to change'],
    [
      'ports of one without an address',
      without('address'),
      { publish: [{ container: 80 }] },
      'has no address of its own',
    ],
    ['the bandwidth of one without', without('address'), { reset: ['bandwidth'] }, 'has no address of its own'],
    [
      'the disk of one that was made without a limit',
      CONFIG,
      { limits: { diskBytes: 1e9 } },
      'was made without a limit',
    ],
  ])('is refused for %s', (_what, config, request, message) => {
    expect(changeRefusal(config, request)?.message).toContain(message);
  });

  it('is a generation of the config, and a run of its own only when that is asked for', () => {
    const times = { requestedAt: 'r', decidedAt: 'd' };
    const next = changedConfig(CONFIG, requestedValues(CONFIG, { limits: { cpus: 2 } }), undefined, false, times);
    expect(next).toMatchObject({
      generation: 4,
      runGeneration: 2,
      desired: 'stopped',
      ports: CONFIG.ports,
      decidedAt: 'd',
    });
    expect(next.limits.cpus).toBe(2);
    const fresh = changedConfig(CONFIG, requestedValues(CONFIG, {}), [], true, times);
    expect(fresh).toMatchObject({
      generation: 4,
      runGeneration: 4,
      desired: 'running',
      ports: undefined,
      requestedAt: 'r',
    });
  });
});
