/** What streams answer to what is published, on a real NATS. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startNats, type TestServer } from '@plinth/testkit';
import { connect, type MsgHdrs, type NatsConnection } from 'nats';
import { decodeEnvelope, encodeHeaders, encodeStoredHeaders } from './envelope.js';
import { type StoredAs, StreamAnswers } from './stream-answers.js';

const ENVELOPE = {
  id: 'a b/ä',
  type: 'kept.one',
  source: 'test/1',
  time: '2026-01-01T00:00:00.000Z',
  correlationId: 'c',
  causationId: 'd',
};
let nats: TestServer;
let connection: NatsConnection;

beforeAll(async () => {
  nats = await startNats();
  connection = await connect({ servers: nats.url });
  const jsm = await connection.jetstreamManager();
  await jsm.streams.add({ name: 'KEPT', subjects: ['kept.>'], max_msg_size: 500 });
});
afterAll(async () => {
  await connection?.close();
  await nats?.stop();
});

async function store(subject: string, body: string, messageId: string, timeoutMs = 10_000): Promise<StoredAs> {
  const headers = encodeStoredHeaders({ ...ENVELOPE, type: subject }, messageId);
  return new StreamAnswers(connection, timeoutMs).store(subject, Buffer.from(body), headers);
}

it('a message is stored with the headers of its envelope, once for each id', async () => {
  const [first, other] = await Promise.all([store('kept.one', '{}', 'm-1'), store('kept.one', '{}', 'm-2')]);
  expect([first, other]).toEqual([
    { stream: 'KEPT', sequence: 1, duplicate: false },
    { stream: 'KEPT', sequence: 2, duplicate: false },
  ]);
  expect(await store('kept.one', '{}', 'm-1')).toEqual({ stream: 'KEPT', sequence: 1, duplicate: true });
  const jsm = await connection.jetstreamManager();
  const { header } = await jsm.streams.getMessage('KEPT', { seq: 1 });
  expect([...header]).toEqual([...encodeHeaders(ENVELOPE, { 'Nats-Msg-Id': 'm-1' })]);
  const fallback = { subject: 's', position: 'p', storedAtMs: 0 };
  expect(decodeEnvelope(header as MsgHdrs, fallback)).toEqual(ENVELOPE);
});

it('what is not stored is rejected with the reason', async () => {
  await expect(store('nobody.listens', '{}', 'm-3')).rejects.toMatchObject({ code: '503' });
  await expect(store('kept.one', 'x'.repeat(501), 'm-4')).rejects.toMatchObject({ api_error: { err_code: 10054 } });
  connection.subscribe('silent', { callback: () => undefined });
  await expect(store('silent', '{}', 'm-5', 1)).rejects.toMatchObject({ code: 'TIMEOUT' });
  await expect(store('kept.one', '{}', 'm\r\nce-id: x')).rejects.toMatchObject({ code: 'BAD_HEADER' });
});

it('nothing waits for a connection that is closed', async () => {
  const other = await connect({ servers: nats.url });
  other.subscribe('silent', { callback: () => undefined });
  const headers = encodeStoredHeaders(ENVELOPE, 'm');
  const answer = new StreamAnswers(other, 60_000)
    .store('silent', Buffer.from('{}'), headers)
    .catch((error: unknown) => error);
  await other.flush();
  await other.close();
  expect(await answer).toMatchObject({ code: 'TIMEOUT' });
});
