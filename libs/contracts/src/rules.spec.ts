import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { ContainerRequested } from './bus/events/container-requests.js';
import { decodePayload } from './bus/decode.js';

describe('a number of seconds', () => {
  it.each([
    [1, true],
    [0.125, true],
    [1.0005, false],
    [1e-7, false],
    [-6e-323, false],
    [1e21, false],
    ['1', false],
    [null, true],
  ] as const)('%j', (intervalSeconds, ok) => {
    const body = Buffer.from(
      JSON.stringify({
        name: 'shop',
        health: { exec: ['/bin/true'], ...(intervalSeconds !== null && { intervalSeconds }) },
      }),
    );
    expect(decodePayload(ContainerRequested, body).ok).toBe(ok);
  });
});
