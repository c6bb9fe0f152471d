import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { agentExec, type ContainerDetails, QUERIES, STREAM_HEADER, SUBJECTS } from '@plinth/contracts';
import { endProcess, freePort, type ProcessIdentity, startNatsServer } from '@plinth/local-servers';
import { ensureStreams, EventPublisher } from '@plinth/service-kit';
import { connect, headers, type NatsConnection } from 'nats';
import { actOnContainer, waitUntilStarted } from './container-requests.js';
import { promoteImage } from './image-requests.js';
import { connectPlinth, type Fact, type PlinthClient } from './plinth-client.js';

const ID = 'a'.repeat(32);
const STARTED = {
  containerId: ID,
  name: 'shop-1',
  tenant: 'default',
  host: 'h-1',
  generation: 2,
  image: 'debian-12@v1',
  pid: 7,
};

let directory: string;
let server: ProcessIdentity;
let services: NatsConnection;
let publisher: EventPublisher;
let client: PlinthClient;

/** Plays a service: answers each message of a subject with what the function gives. */
function answer(subject: string, reply: (body: Record<string, unknown>) => unknown): () => void {
  const subscription = services.subscribe(subject, {
    callback: (_error, message) =>
      void message.respond(
        JSON.stringify(reply(JSON.parse(Buffer.from(message.data).toString('utf8')) as Record<string, unknown>)),
      ),
  });
  return () => subscription.unsubscribe();
}

/** Plays the provisioner: answers each request on a subject by a fact. */
function react(subject: string, fact: string, data: object): () => void {
  const subscription = services.subscribe(subject, {
    callback: (_error, message) =>
      void publisher.publishUnchecked(fact, data, {
        causationId: 'of-a-report',
        correlationId: message.headers?.get('ce-id'),
      }),
  });
  return () => subscription.unsubscribe();
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'plinth-client-'));
  const started = await startNatsServer({ directory, port: await freePort(), life: 'bound' });
  server = started.identity;
  services = await connect({ servers: started.url });
  await ensureStreams(services);
  publisher = new EventPublisher(services, 'test');
  client = await connectPlinth({ natsUrl: started.url });
});

afterAll(async () => {
  await client?.close();
  await services?.close();
  if (server) await endProcess(server, 'SIGTERM', 5_000);
  rmSync(directory, { recursive: true, force: true });
});

describe('PlinthClient', () => {
  it('reports what to do when nothing listens', async () => {
    await expect(connectPlinth({ natsUrl: 'nats://user:secret@127.0.0.1:1' })).rejects.toMatchObject({
      reason: 'unreachable',
      message: expect.stringMatching(/^NATS does not answer at nats:\/\/127\.0\.0\.1:1; .*plinth up/),
    });
  });

  it('follows pages and names a service that is silent', async () => {
    const stop = answer(QUERIES.hosts, ({ cursor }) => ({
      ok: true,
      data: cursor === undefined ? { items: [1, 2], next: 'x' } : { items: [3] },
    }));
    await services.flush();
    expect(await client.hosts()).toEqual([1, 2, 3]);
    stop();
    await services.flush();
    await expect(client.hosts()).rejects.toMatchObject({
      reason: 'no-answer',
      message: expect.stringContaining('is the provisioner up?'),
    });
  });

  it("passes on a service's refusal with control characters shown", async () => {
    const stop = answer(QUERIES.build, () => ({ ok: false, reason: 'image-not-found', message: 'no\u001b[31m such' }));
    await services.flush();
    await expect(client.build('a@v1')).rejects.toMatchObject({
      reason: 'image-not-found',
      message: 'no\\x1b[31m such',
    });
    stop();
  });

  it('resolves a container by a unique beginning of its id', async () => {
    const stops = [
      answer(QUERIES.container, ({ id }) =>
        id === ID ? { ok: true, data: { id } } : { ok: false, reason: 'container-not-found', message: 'no' },
      ),
      // As one that does not know idPrefix.
      answer(QUERIES.containers, () => ({
        ok: true,
        data: { items: [{ id: ID }, { id: 'b'.repeat(32) }, { id: `b${'c'.repeat(31)}` }] },
      })),
    ];
    await services.flush();
    expect((await client.container('aaaaaa')).id).toBe(ID);
    await expect(client.container('aaaaa')).rejects.toMatchObject({ reason: 'container-not-found' });
    await expect(client.container('bbbbbbb')).rejects.toMatchObject({ reason: 'container-not-found' });
    stops.forEach((stop) => stop());
  });

  it('waits for the fact that answers its own request only', async () => {
    const stop = react(SUBJECTS.containerRequested, SUBJECTS.containerStarted, STARTED);
    await services.flush();
    const stream = await client.request(SUBJECTS.containerRequested, { name: 'shop-1' }, { id: 'order-1' });
    await publisher.publishUnchecked(SUBJECTS.containerStarted, { ...STARTED, pid: 8 });
    expect(stream.requestId).toBe('order-1');
    expect(await waitUntilStarted(client, stream, 5_000)).toMatchObject({ pid: 7 });
    stream.close();
    stop();
  });

  it('answers a repeated request by the present state', async () => {
    const details: Partial<ContainerDetails> = {
      id: ID,
      name: 'shop-1',
      tenant: 'default',
      state: 'running',
      host: 'h-1',
      image: 'debian-12@v1',
      pid: 9,
    };
    const stop = answer(QUERIES.container, ({ requestId }) => ({ ok: requestId === 'order-1', data: details }));
    await services.flush();
    const stream = await client.request(SUBJECTS.containerRequested, { name: 'shop-1' }, { id: 'order-1' });
    expect(stream.duplicate).toBe(true);
    expect(await waitUntilStarted(client, stream, 5_000)).toMatchObject({ containerId: ID, pid: 9 });
    stream.close();
    stop();
  });

  it('distinguishes a refused action from a done one', async () => {
    const stops = [
      react(SUBJECTS.containerStopRequested, SUBJECTS.containerStopped, { ...STARTED, cause: 'requested' }),
      react(SUBJECTS.containerStartRequested, SUBJECTS.containerRejected, {
        operation: 'start',
        requestId: 'x',
        reason: 'wrong-state',
        message: 'shop-1 is removed',
        problems: [],
      }),
    ];
    await services.flush();
    await actOnContainer(client, 'stop', { id: ID, generation: 1 }, { timeoutMs: 60_000 });
    await expect(
      actOnContainer(client, 'start', { id: ID, generation: 1 }, { timeoutMs: 60_000 }),
    ).rejects.toMatchObject({ reason: 'wrong-state' });
    stops.forEach((stop) => stop());
  });

  it.each([
    ['rm', SUBJECTS.containerRemoveRequested, SUBJECTS.containerRemoved],
    ['stop', SUBJECTS.containerStopRequested, SUBJECTS.containerStopped],
  ] as const)('takes no failed start for the answer to %s', async (action, requested, done) => {
    const failed = { ...STARTED, reason: 'port-taken', message: 'port 80 is in use', retryInMs: 1_000 };
    const stops = [
      // The host reports under the latest config's ids.
      react(requested, SUBJECTS.containerFailed, failed),
      react(requested, done, { ...STARTED, cause: 'requested' }),
      answer(QUERIES.container, () => ({
        ok: true,
        data: { id: ID, name: 'shop-1', state: 'failed', generation: 3 },
      })),
    ];
    await services.flush();
    await actOnContainer(client, action, { id: ID, generation: 2 }, { timeoutMs: 60_000 });
    stops.forEach((stop) => stop());
  });

  it('sees an action done in the present state when its fact was missed', async () => {
    const stop = answer(QUERIES.container, () => ({
      ok: true,
      data: { id: ID, name: 'shop-1', state: 'running', generation: 3 },
    }));
    await services.flush();
    await actOnContainer(client, 'restart', { id: ID, generation: 2 }, { timeoutMs: 60_000 });
    await expect(
      actOnContainer(client, 'restart', { id: ID, generation: 3 }, { timeoutMs: 500 }),
    ).rejects.toMatchObject({ reason: 'timeout' });
    stop();
  });

  it('waits for a fact by filter and predicate', async () => {
    const waiting = client.waitForFact(
      { containerId: ID, subjects: ['container.*'] },
      (fact) => fact.data.pid === 11,
      5_000,
    );
    await client.connection.flush();
    await publisher.publishUnchecked(SUBJECTS.containerStarted, { ...STARTED, pid: 10 });
    await publisher.publishUnchecked(SUBJECTS.containerStarted, { ...STARTED, pid: 11 });
    expect((await waiting).data.pid).toBe(11);
    await expect(client.waitForFact({ causationId: 'none' }, undefined, 50)).rejects.toMatchObject({
      reason: 'timeout',
    });
  });

  it('waits for every live targeted storage node, and takes what is there already', async () => {
    const node = (name: string, state: string, images: string[]): object => ({
      node: name,
      state,
      datacenter: 'west',
      labels: {},
      images,
    });
    let looks = 0;
    const stops = [
      react(SUBJECTS.imagePromotionRequested, SUBJECTS.imagePromoted, { name: 'debian-12', version: 'v1' }),
      answer(QUERIES.storage, () => ({
        ok: true,
        data: {
          items: [
            node('sn-1', 'ready', ['debian-12@v1']),
            node('sn-2', 'ready', ++looks > 1 ? ['debian-12@v1'] : []),
            node('sn-3', 'lost', []),
          ],
        },
      })),
    ];
    await services.flush();
    const lines: string[] = [];
    await promoteImage(client, 'debian-12@v1', { wait: true, timeoutMs: 60_000, onNode: (line) => lines.push(line) });
    expect(lines).toEqual(['sn-1 has debian-12@v1', 'sn-2 has debian-12@v1']);
    expect(looks).toBe(2);
    stops.forEach((stop) => stop());
  });

  it('streams a command and passes its exit code on', async () => {
    const subscription = services.subscribe(agentExec('h-1'), {
      callback: (_error, message) => {
        const { stdin = '' } = JSON.parse(Buffer.from(message.data).toString('utf8')) as { stdin?: string };
        const send = (name: string, body: string | Buffer): void => {
          const head = headers();
          head.set(STREAM_HEADER, name);
          message.respond(body, { headers: head });
        };
        send('stdout', '');
        send('stdout', Buffer.from(stdin, 'base64'));
        send('stderr', 'oops');
        send('exit', JSON.stringify({ ok: true, data: { exitCode: 3 } }));
      },
    });
    await services.flush();
    expect(await client.exec('h-1', ID, ['cat'], { stdin: 'in' })).toEqual({
      exitCode: 3,
      stdout: 'in',
      stderr: 'oops',
    });
    const chunks: string[] = [];
    const result = await client.exec('h-1', ID, ['cat'], {
      stdin: 'in',
      onStdout: (chunk) => chunks.push(Buffer.from(chunk).toString()),
    });
    expect([result.stdout, chunks]).toEqual(['', ['in']]);
    subscription.unsubscribe();
    await expect(client.exec('h-none', ID, ['true'])).rejects.toMatchObject({ reason: 'no-answer' });
  });

  it('reads what is stored, and goes on when it follows', async () => {
    const stored: Fact[] = [];
    await client.history(
      { subject: SUBJECTS.containerStarted, since: new Date(Date.now() - 60_000), follow: false },
      (fact) => stored.push(fact),
    );
    expect(stored.map((fact) => fact.data.pid)).toEqual(expect.arrayContaining([7, 8, 10, 11]));
    const stop = new AbortController();
    const live: Fact[] = [];
    await Promise.all([
      client.history({ subject: SUBJECTS.hostJoined, since: new Date(), follow: true, signal: stop.signal }, (fact) => {
        live.push(fact);
        stop.abort();
      }),
      new Promise((resolve) => setTimeout(resolve, 300)).then(() =>
        publisher.publishUnchecked(SUBJECTS.hostJoined, { host: 'h-1' }),
      ),
    ]);
    expect(live).toHaveLength(1);
  });
});
