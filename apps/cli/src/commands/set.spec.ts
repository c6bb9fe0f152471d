import { describe, expect, it } from '@jest/globals';
import { changeOf, sentence, type SetOptions } from './set.js';

describe('plinth set', () => {
  it.each<[SetOptions, object]>([
    [{}, {}],
    [{ memory: 1e9, ioWeight: 50 }, { limits: { memoryBytes: 1e9, io: { weight: 50 } } }],
    [{ ioMax: 'none', bandwidth: 'none' }, { reset: ['io', 'bandwidth'] }],
    [
      { ioMax: 'none', ioWeight: 20 },
      { limits: { io: { weight: 20 } }, reset: ['io'] },
    ],
    [
      { publish: [{ container: 80 }], bandwidth: { sendBitsPerSecond: 1e6 }, restart: true },
      { publish: [{ container: 80 }], bandwidth: { sendBitsPerSecond: 1e6 }, restart: true },
    ],
  ])('asks for what is named, and for nothing else', (options, request) => {
    expect(JSON.parse(JSON.stringify(changeOf(options)))).toEqual(request);
  });

  const later = [{ part: 'open-files' as const, message: 'its next start has it' }];
  it.each<[Parameters<typeof sentence>[1], Parameters<typeof sentence>[2], string]>([
    [{ applied: ['memory', 'ports'], pending: [], ports: [] }, {}, 'shop-1: memory, ports changed, in effect now'],
    [{ applied: [], pending: [], ports: [] }, {}, 'shop-1 is so already'],
    [
      { applied: [], pending: later, ports: [] },
      {},
      'shop-1: changed, and not in effect yet\nopen-files is not in effect: its next start has it',
    ],
    [
      { applied: ['open-files'], pending: [], ports: [] },
      { restart: true },
      'shop-1 was started again, with open-files changed',
    ],
    [
      { applied: ['ports'], pending: [], ports: [{ protocol: 'tcp', hostPort: 30_001, containerPort: 80 }] },
      { publish: [] },
      'shop-1: ports changed, in effect now\nports 30001->80/tcp',
    ],
  ])('says what is in effect, and what is not', (changed, options, text) => {
    expect(sentence('shop-1', changed, options)).toBe(text);
  });
});
