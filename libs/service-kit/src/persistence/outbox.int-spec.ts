/**
 * The outbox against a bus that forgets what it had acknowledged: a real NATS whose store is put back to an earlier
 * state, as a power cut does.
 */
import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { STREAMS, storageStatus, SUBJECTS } from '@plinth/contracts';
import { startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, DiscardPolicy, type MsgHdrs, nanos, type NatsConnection } from 'nats';
import type { DataSource, EntityManager } from 'typeorm';
import { createLogger } from '../logging.js';
import { OwnConsumers } from '../messaging/consumer-source.js';
import { EventPublisher } from '../messaging/publisher.js';
import { ensureStreams } from '../messaging/streams.js';
import { openDatabase } from './database.js';
import { insertBatch } from './outbox-batch.js';
import { Outbox } from './outbox.js';
import type { OutboxEvent } from './unit-of-work.js';

/** What the bus drops as repeated would hide what is sent twice. */
const MEMORY_MS = 100;
const logger = createLogger('outbox', 'test', 'fatal');
let nats: TestServer;
let postgres: TestServer;
let connection: NatsConnection;
let source: DataSource;
let outbox: Outbox;
let published = 0;

beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  connection = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  await ensureStreams(connection);
  const jsm = await connection.jetstreamManager();
  await jsm.streams.update(STREAMS.events.name, { duplicate_window: nanos(MEMORY_MS) });
  source = await openDatabase({ url: postgres.url, schema: 'outbox_test', migrations: [], logger });
  await source.query('CREATE TABLE healed (stream text NOT NULL)');
});
afterAll(async () => {
  await outbox?.stop();
  await source?.destroy();
  await connection?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
});
beforeEach(async () => {
  await outbox?.stop();
  await source.query('TRUNCATE healed');
  outbox = new Outbox(source, new EventPublisher(connection, 'test'), new OwnConsumers(connection), logger);
  outbox.onAmnesia(heal);
  outbox.start();
});

async function heal(stream: string, manager: EntityManager): Promise<void> {
  await manager.query('INSERT INTO healed (stream) VALUES ($1)', [stream]);
}

/** Streams that were healed. */
async function healed(): Promise<readonly string[]> {
  const rows: { stream: string }[] = await source.query('SELECT stream FROM healed');
  return rows.map(({ stream }) => stream);
}
const lossIsSeen = (): Promise<void> => until(async () => (await healed()).length > 0, 'the loss is seen');

const joined = (host: string): OutboxEvent => ({
  subject: SUBJECTS.hostJoined,
  aggregate: host,
  data: { host, lastSeenAt: new Date().toISOString() },
  correlationId: host,
});

const newHosts = (count: number): string[] => Array.from({ length: count }, () => `h-${published++}`);

async function publish(count: number): Promise<string[]> {
  const hosts = newHosts(count);
  await outbox.transact((_, add) => Promise.resolve(hosts.forEach((host) => add(joined(host)))));
  return hosts;
}

/** As one batch. */
async function publishTogether(count: number): Promise<string[]> {
  const hosts = newHosts(count);
  const { delivered } = await outbox.transactFresh((_, add) =>
    Promise.resolve(hosts.forEach((host) => add(joined(host)))),
  );
  await delivered;
  return hosts;
}

const unsent = async (): Promise<number> =>
  (
    (await source.query('SELECT count(*)::int AS count FROM outbox_events WHERE sent_at IS NULL')) as {
      count: number;
    }[]
  )[0]?.count ?? -1;

async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  for (
    const deadline = Date.now() + 60_000;
    Date.now() < deadline;
    await new Promise((resolve) => setTimeout(resolve, 50))
  )
    if (await check()) return;
  throw new Error(`not in time: ${what}`);
}
const allSent = (): Promise<void> => until(async () => (await unsent()) === 0, 'everything is sent');

async function onBus(): Promise<string[]> {
  const { state } = await (await connection.jetstreamManager()).streams.info(STREAMS.events.name);
  const jsm = await connection.jetstreamManager();
  const hosts: string[] = [];
  if (state.messages > 0)
    for (let seq = state.first_seq; seq <= state.last_seq; seq++)
      hosts.push((await jsm.streams.getMessage(STREAMS.events.name, { seq })).json<{ host: string }>().host);
  return hosts.sort();
}

async function messagesOf(host: string): Promise<MsgHdrs[]> {
  const jsm = await connection.jetstreamManager();
  const { state } = await jsm.streams.info(STREAMS.events.name);
  const found: MsgHdrs[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(STREAMS.events.name, { seq });
    if (message.json<{ host: string }>().host === host) found.push(message.header);
  }
  return found;
}

const lostNode = (node: string): OutboxEvent => ({
  subject: storageStatus(node),
  data: {
    node,
    state: 'lost',
    datacenter: 'default',
    labels: {},
    totalBytes: 0,
    freeBytes: 0,
    images: [],
    volumes: 0,
    lastSeenAt: new Date().toISOString(),
  },
  correlationId: node,
});

/** @param before what the bus remembers @param after what it forgets */
async function forget(before: number, after: number, send = publish): Promise<string[]> {
  const store = join(dirname(nats.logFile), 'jetstream');
  const kept = await send(before);
  await allSent();
  await nats.pause();
  cpSync(store, `${store}-kept`, { recursive: true });
  await nats.start();
  const lost = await send(after);
  await allSent();
  await nats.pause();
  rmSync(store, { recursive: true });
  cpSync(`${store}-kept`, store, { recursive: true });
  rmSync(`${store}-kept`, { recursive: true });
  await nats.start();
  return [...kept, ...lost];
}

it('sends what the bus has forgotten, and only that, when later events have taken its places', async () => {
  const before = await onBus();
  const sent = [...(await forget(5, 3)), ...(await publish(4))];
  await lossIsSeen();
  await allSent();
  expect(await onBus()).toEqual([...before, ...sent].sort());
  expect(await healed()).toContain(STREAMS.events.name);
});

it('sends what the bus has forgotten, and only that, when nothing follows', async () => {
  const before = await onBus();
  const sent = await forget(5, 3);
  await lossIsSeen();
  await allSent();
  expect(await onBus()).toEqual([...before, ...sent].sort());
});

it('heals what the bus has forgotten, also when that fails at first', async () => {
  let failures = 0;
  outbox.onAmnesia((stream, manager) =>
    failures++ === 0 ? Promise.reject(new Error('as when the database is away')) : heal(stream, manager),
  );
  await forget(5, 3);
  await lossIsSeen();
  await allSent();
});

it('sends everything when the stream is gone', async () => {
  const before = await onBus();
  const sent = await publish(5);
  await allSent();
  await until(
    async () =>
      ((await source.query(`SELECT 1 FROM bus_position WHERE stream = '${STREAMS.events.name}'`)) as unknown[])
        .length === 1,
    'what the bus looks like is known',
  );
  await (await connection.jetstreamManager()).streams.delete(STREAMS.events.name);
  await ensureStreams(connection);
  await lossIsSeen();
  await allSent();
  expect(await onBus()).toEqual([...before, ...sent].sort());
});

it('holds up nothing but what the bus refuses', async () => {
  const before = await onBus();
  // More than one batch, each for an aggregate of its own, in a stream that takes no more.
  const jsm = await connection.jetstreamManager();
  await jsm.streams.update(STREAMS.status.name, { max_msgs: 1, discard: DiscardPolicy.New });
  const refused = Array.from({ length: 450 }, (_, index) => `lost-${index}`);
  await outbox.transact((_, add) => Promise.resolve(refused.forEach((node) => add(lostNode(node)))));
  const sent = await publish(5);
  await until(async () => (await onBus()).length === before.length + sent.length, 'what comes behind it is sent');
  expect(await onBus()).toEqual([...before, ...sent].sort());
  // What it refused is sent when it takes it again.
  await jsm.streams.update(STREAMS.status.name, { max_msgs: -1, discard: DiscardPolicy.New });
  await allSent();
  const { state } = await jsm.streams.info(STREAMS.status.name);
  expect(state.messages).toBe(refused.length);
});

describe('a batch', () => {
  const sentOf = async (hosts: readonly string[]): Promise<string[]> =>
    (await onBus()).filter((host) => hosts.includes(host));

  it('is sent again as a whole when the bus has forgotten it', async () => {
    const before = await onBus();
    const hosts = await forget(5, 3, publishTogether);
    await lossIsSeen();
    await allSent();
    expect(await onBus()).toEqual([...before, ...hosts].sort());
  });

  it('of a writer that died is sent by others, before what was written later', async () => {
    const hosts = newHosts(3);
    const [first = ''] = hosts;
    // What a writer leaves that dies right after its commit.
    await source.transaction(async (manager) => void (await insertBatch(manager, hosts.map(joined))));
    await outbox.transact((_, add) => Promise.resolve(add({ ...joined(first), correlationId: 'later' })));
    const others = await publish(1);
    await until(async () => (await sentOf(others)).length === 1, 'what does not depend on it is sent');
    expect(await sentOf(hosts)).toEqual([]);
    await source.query('UPDATE outbox_batch SET not_before = now() WHERE sent_at IS NULL');
    await allSent();
    expect(await sentOf(hosts)).toEqual([first, ...hosts].sort());
    expect((await messagesOf(first)).map((headers) => headers.get('ce-correlationid'))).toEqual([first, 'later']);
  });

  it('of any transaction waits for what was decided before about the same things', async () => {
    const send = async (hosts: readonly string[], correlationId: string): Promise<number> => {
      await outbox.transactMany((_, add) =>
        Promise.resolve(hosts.forEach((host) => add({ ...joined(host), correlationId }))),
      );
      const [row] = await source.query('SELECT max(sequence)::int AS last FROM outbox_batch');
      return (row as { last: number }).last;
    };
    const hosts = newHosts(10);
    const [first = ''] = hosts;
    const batches = await send(hosts, 'first');
    await allSent();
    expect(await send(hosts, 'second')).toBeGreaterThan(batches);
    await allSent();
    await source.transaction(async (manager) => void (await insertBatch(manager, [joined(first)])));
    const held = await send(newHosts(9), 'others');
    // As rows: one of them has to wait.
    expect(await send(hosts, 'third')).toBe(held);
    await until(async () => (await sentOf(hosts)).length === 29, 'what does not wait is sent');
    await source.query('UPDATE outbox_batch SET not_before = now() WHERE sent_at IS NULL');
    await allSent();
    const order = (await messagesOf(first)).map((headers) => headers.get('ce-correlationid'));
    expect(order).toEqual(['first', 'second', first, 'third']);
  });

  it('holds up nothing but what the bus refuses', async () => {
    const jsm = await connection.jetstreamManager();
    const { state } = await jsm.streams.info(STREAMS.status.name);
    await jsm.streams.update(STREAMS.status.name, {
      max_msgs: Math.max(1, state.messages),
      discard: DiscardPolicy.New,
    });
    const hosts = newHosts(2);
    const refused = hosts.map((host) => lostNode(`full-${host}`));
    const { delivered } = await outbox.transactFresh((_, add) =>
      Promise.resolve([...refused, ...hosts.map(joined)].forEach(add)),
    );
    await delivered;
    expect(await sentOf(hosts)).toEqual(hosts);
    expect(await unsent()).toBe(state.messages === 0 ? 1 : 2);
    const later = hosts.map((host) => ({ ...joined(host), correlationId: 'later' }));
    await outbox.transact((_, add) => Promise.resolve(later.forEach(add)));
    await until(async () => (await sentOf(hosts)).length === 4, 'what comes later is sent');
    await jsm.streams.update(STREAMS.status.name, { max_msgs: -1, discard: DiscardPolicy.New });
    await allSent();
    expect((await jsm.streams.info(STREAMS.status.name)).state.messages).toBe(state.messages + 2);
  });
});
