/** Rates of bytes, over real connections. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Pace, sharedPace } from './pace.js';
import { readDocument } from './repository-client.js';
import { sendFile } from './serve/http-files.js';

const BYTES = 300 * 1024;
const RATE = 200 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'plinth-pace-'));
const contents = randomBytes(BYTES);
const file = { path: join(directory, 'file'), bytes: BYTES, etag: '"x"', type: 'application/octet-stream' };
const served = sharedPace(RATE);
let server: Server;
let url: URL;

beforeAll(async () => {
  writeFileSync(file.path, contents);
  server = createServer((request, response) => {
    void sendFile(request, response, file, request.url === '/paced' && served ? new Pace(served) : undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

const signal = new AbortController().signal;
/** When everything is paid, microseconds of the monotonic clock. */
const paidAt = (memory: SharedArrayBuffer): number => Number(new BigInt64Array(memory)[0]);
const now = (): number => Number(process.hrtime.bigint() / 1_000n);

it('a receiver that keeps to its own rate does not take the source for one that stalls', async () => {
  const pace = sharedPace(RATE);
  if (!pace) throw new Error('there is a rate');
  const begun = now();
  // At its rate fewer bytes than these come in this time.
  const transfer = { stallMs: 100, leastBytes: 64 * 1024, signal, pace: new Pace(pace) };
  const read = await readDocument(url, BYTES, BYTES, transfer);
  expect(read.ok && read.value.equals(contents)).toBe(true);
  expect(paidAt(pace.memory) - begun).toBeGreaterThanOrEqual((BYTES / RATE - 0.25) * 1e6 - 1);
});

it('receivers share the rate of a source', async () => {
  if (!served) throw new Error('there is a rate');
  const begun = now();
  const reads = await Promise.all(
    [1, 2].map(() => readDocument(new URL('paced', url), BYTES, BYTES, { stallMs: 60_000, signal })),
  );
  for (const read of reads) expect(read.ok && read.value.equals(contents)).toBe(true);
  expect(paidAt(served.memory) - begun).toBeGreaterThanOrEqual(((2 * BYTES) / RATE - 0.25) * 1e6 - 1);
});

it('a source that is slower than the rate is seen to stall', async () => {
  const slow = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES }).write('x');
  }).listen(0, '127.0.0.1');
  await once(slow, 'listening');
  const pace = sharedPace(RATE);
  const at = new URL(`http://127.0.0.1:${(slow.address() as AddressInfo).port}/`);
  const read = await readDocument(at, BYTES, BYTES, { stallMs: 100, signal, ...(pace && { pace: new Pace(pace) }) });
  slow.close();
  expect(read).toMatchObject({ ok: false, reason: 'download-stalled' });
});

it('who waits for its bytes can be cancelled', async () => {
  const pace = sharedPace(1_000);
  if (!pace) throw new Error('there is a rate');
  const ending = new AbortController();
  const reason = new Error('enough');
  const read = readDocument(url, BYTES, BYTES, { stallMs: 60_000, signal: ending.signal, pace: new Pace(pace) });
  setTimeout(() => ending.abort(reason), 50);
  await expect(read).rejects.toBe(reason);
});
