import { describe, expect, it } from '@jest/globals';
import { ContainerRequested, decodePayload } from './index.js';

const problems = (body: object): string[] => {
  const decoded = decodePayload(ContainerRequested, Buffer.from(JSON.stringify(body)));
  return decoded.ok ? [] : decoded.problems.map(({ path }) => path);
};

describe('limits in a request', () => {
  it.each([
    [{ bandwidth: { receiveBitsPerSecond: 64_000, sendBitsPerSecond: 100_000_000_000 } }],
    [{ bandwidth: { sendBitsPerSecond: 1_000_000 }, network: 'container' }],
    [{ limits: { diskBytes: 1024 ** 2, openFiles: 16, io: { weight: 10 } } }],
    [{ limits: { diskBytes: 1024 ** 5, openFiles: 1_048_576, io: { readBytesPerSecond: 4096, weight: 1000 } } }],
    [{ limits: { io: { writeBytesPerSecond: 1024 ** 4, readOperationsPerSecond: 1, writeOperationsPerSecond: 9 } } }],
  ])('are taken: %j', (body) => expect(problems(body)).toEqual([]));

  it.each<[object, string]>([
    [{ bandwidth: {} }, 'bandwidth'],
    [{ bandwidth: 'fast' }, 'bandwidth'],
    [{ bandwidth: [] }, 'bandwidth'],
    [{ bandwidth: { bitsPerSecond: 64_000 } }, 'bandwidth'],
    [{ bandwidth: { receiveBitsPerSecond: 63_999 } }, 'bandwidth.receiveBitsPerSecond'],
    [{ bandwidth: { sendBitsPerSecond: 100_000_000_001 } }, 'bandwidth.sendBitsPerSecond'],
    [{ bandwidth: { sendBitsPerSecond: 1e6 + 0.5 } }, 'bandwidth.sendBitsPerSecond'],
    [{ bandwidth: { sendBitsPerSecond: -6e-323 } }, 'bandwidth.sendBitsPerSecond'],
    [{ bandwidth: { sendBitsPerSecond: '1000000' } }, 'bandwidth.sendBitsPerSecond'],
    [{ bandwidth: { sendBitsPerSecond: 1_000_000 }, network: 'host' }, 'bandwidth'],
    [{ bandwidth: { sendBitsPerSecond: 1_000_000 }, network: 'isolated' }, 'bandwidth'],
    [{ limits: { diskBytes: 1024 ** 2 - 1 } }, 'limits.diskBytes'],
    [{ limits: { diskBytes: 1e308 } }, 'limits.diskBytes'],
    [{ limits: { diskBytes: -1 } }, 'limits.diskBytes'],
    [{ limits: { openFiles: 15 } }, 'limits.openFiles'],
    [{ limits: { openFiles: 1_048_577 } }, 'limits.openFiles'],
    [{ limits: { io: {} } }, 'limits.io'],
    [{ limits: { io: { weight: 9 } } }, 'limits.io.weight'],
    [{ limits: { io: { weight: 1001 } } }, 'limits.io.weight'],
    [{ limits: { io: { readBytesPerSecond: 4095 } } }, 'limits.io.readBytesPerSecond'],
    [{ limits: { io: { writeOperationsPerSecond: 0 } } }, 'limits.io.writeOperationsPerSecond'],
    [{ limits: { io: { writeOperationsPerSecond: Number.MAX_SAFE_INTEGER } } }, 'limits.io.writeOperationsPerSecond'],
  ])('are refused: %j', (body, field) =>
    expect(problems(body).some((path) => path === field || path.startsWith(`${field}.`))).toBe(true),
  );
});
