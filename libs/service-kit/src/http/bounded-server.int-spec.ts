import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, type Socket } from 'node:net';
import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { boundedServer } from './bounded-server.js';

const LIMITS = { headersMs: 400, requestMs: 800, idleMs: 600, headerBytes: 4096, connections: 3 };
let server: Server;
let port = 0;
const sockets: Socket[] = [];

beforeEach(async () => {
  server = boundedServer(
    (request, response) => {
      // Answers whole requests; `/endless` is an answer that the client does not read.
      if (request.url === '/endless') response.write(Buffer.alloc(64 * 1024 * 1024));
      else request.on('end', () => response.end('ok')).resume();
    },
    undefined,
    LIMITS,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.closeAllConnections();
  server.close();
});

async function client(): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Everything until the server closes. */
async function answer(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await once(socket, 'close');
  return text;
}

it('answers a request', async () => {
  const socket = await client();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  expect(await answer(socket)).toMatch(/^HTTP\/1.1 200 [^]*ok/);
});

it('ends headers that come a byte at a time', async () => {
  const socket = await client();
  const closed = answer(socket);
  socket.write('GET / HTTP/1.1\r\n');
  const drip = setInterval(() => socket.write('x-a: b\r\n'), 50);
  expect(await closed).toMatch(/^HTTP\/1.1 408 /);
  clearInterval(drip);
});

it('ends a body that comes a byte at a time', async () => {
  const socket = await client();
  const closed = answer(socket);
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n');
  const drip = setInterval(() => socket.write('x'), 50);
  expect(await closed).toMatch(/^HTTP\/1.1 408 /);
  clearInterval(drip);
});

it('refuses huge headers', async () => {
  const socket = await client();
  const closed = answer(socket);
  socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx-huge: ${'a'.repeat(LIMITS.headerBytes)}\r\n\r\n`);
  expect(await closed).toMatch(/^HTTP\/1.1 431 /);
});

it('closes a connection on which nothing is sent', async () => {
  expect(await answer(await client())).toMatch(/^(?:HTTP\/1.1 408 [^]*)?$/);
});

it('closes a connection whose answer is not read', async () => {
  const socket = await client();
  const gone = new Promise<void>((resolve) =>
    server.once('request', (request) => request.socket.once('close', () => resolve())),
  );
  socket.pause();
  socket.write('GET /endless HTTP/1.1\r\nhost: x\r\n\r\n');
  await gone;
});

it('closes connections beyond the limit without an answer, and takes new ones when there is room again', async () => {
  const first = await Promise.all(Array.from({ length: LIMITS.connections }, () => client()));
  expect(await answer(await client())).toBe('');
  for (const socket of first) socket.destroy();
  for (let text = ''; text === ''; await delay(20)) {
    const socket = await client();
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    text = await answer(socket);
  }
});
