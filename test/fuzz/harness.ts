/** Malformed requests among good ones, against a stack: every one is answered, and no service ends. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStartTime } from '@plinth/container-runtime';
import { makeSmallRootfs } from '@plinth/testkit';
import { loginOptions } from '@plinth/service-kit/messaging';
import { connect, headers, type NatsConnection } from 'nats';
import { EVENT_SUBJECTS, type Stack } from '../stack.js';
import { mutants } from './mutants.js';

export interface FuzzOptions {
  readonly stack: Stack;
  readonly seed: number;
  readonly messages: number;
  readonly onLine: (line: string) => void;
}

export interface FuzzResult {
  /** By the answer's subject and reason. */
  readonly answers: Readonly<Record<string, number>>;
  readonly good: number;
  /** One line each; empty when all is as it has to be. */
  readonly violations: readonly string[];
  /** Resident memory of each service before and after, MiB. */
  readonly memory: Readonly<Record<string, readonly [number, number]>>;
}

const IN_FLIGHT = 200;
const ONE_GOOD_IN = 100;
/** One good request in so many starts a container; the others name an image that does not exist. */
const ONE_REAL_IN = 50;
/** How long it waits without any answer. */
const PATIENCE_MS = 90_000;

interface Awaited {
  readonly what: string;
  readonly fits: (subject: string, reason: string) => boolean;
}

export async function runFuzz({ stack, seed, messages, onLine }: FuzzOptions): Promise<FuzzResult> {
  const image = await makeImage(stack);
  const { natsUrl, nkeyFile, services } = stack.file();
  const connection = await connect({ servers: natsUrl, ...loginOptions({ nkeyFile }) });
  const before = memoryOf(stack);
  const waiting = new Map<string, Awaited>();
  const answers: Record<string, number> = {};
  const violations: string[] = [];
  listen(connection, (id, subject, reason) => {
    const awaited = waiting.get(id);
    if (!awaited) return;
    const answer = reason === '' ? subject : `${subject} ${reason}`;
    // `container.configured` precedes `container.started`.
    if (!awaited.fits(subject, reason)) {
      if (subject.endsWith('.rejected') || subject.endsWith('.failed'))
        violations.push(`${awaited.what} was answered by ${answer}`);
      else return;
    }
    waiting.delete(id);
    answers[answer] = (answers[answer] ?? 0) + 1;
  });
  await connection.flush();
  const send = sender(connection);
  let good = 0;
  const all = mutants(seed, messages);
  for (const [index, { subject, body }] of all.entries()) {
    const id = randomBytes(16).toString('hex');
    waiting.set(id, {
      what: `${subject} ${body.subarray(0, 300).toString('latin1')}`,
      fits: (_, reason) => reason !== 'internal-error',
    });
    await send(subject, body, id);
    if (index % ONE_GOOD_IN !== 0) continue;
    const goodId = randomBytes(16).toString('hex');
    const real = good % ONE_REAL_IN === 0;
    const request = { name: `good-${good}`, tenant: 'good', image: real ? image : 'nosuch@v1', strict: true };
    waiting.set(goodId, {
      what: `the good request ${request.name}`,
      fits: (fact, reason) =>
        real
          ? fact === 'container.started'
          : fact === 'container.rejected' && reason !== 'invalid-request' && reason !== 'internal-error',
    });
    good++;
    await send('container.requested', Buffer.from(JSON.stringify(request)), goodId);
    if (index % 10_000 === 0) onLine(`${index} sent, ${waiting.size} wait for their answer`);
  }
  await send.done();
  onLine(`${messages} malformed and ${good} good ones sent, ${waiting.size} wait for their answer`);
  let left = waiting.size;
  for (let deadline = Date.now() + PATIENCE_MS; waiting.size > 0 && Date.now() < deadline; await delay(200)) {
    if (waiting.size < left) deadline = Date.now() + PATIENCE_MS;
    left = waiting.size;
  }
  for (const { what } of [...waiting.values()].slice(0, 20)) violations.push(`no answer to ${what}`);
  const after = stack.file().services;
  for (const service of services)
    if (processStartTime(service.pid) === undefined || after.find(({ id }) => id === service.id)?.pid !== service.pid)
      violations.push(`${service.id} was not alive at the end`);
  const status = await stack.plinth('status');
  if (status.code !== 0) violations.push(`not healthy: ${status.stdout}${status.stderr}`);
  const letters = await stack.plinth('deadletters', 'ls', '--limit', String(messages + 1), '--json');
  // The image-builder refuses recipes that it can't read, and does not put them aside.
  onLine(`${(JSON.parse(letters.stdout || '[]') as unknown[]).length} dead letters`);
  await connection.close();
  const now = memoryOf(stack);
  return {
    answers,
    good,
    violations,
    memory: Object.fromEntries(Object.entries(before).map(([id, mib]) => [id, [mib, now[id] ?? 0] as const])),
  };
}

/** Calls `onAnswer` for every fact that answers a request, by the request's id. */
function listen(connection: NatsConnection, onAnswer: (id: string, subject: string, reason: string) => void): void {
  for (const subject of EVENT_SUBJECTS) {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null || message.subject.endsWith('.requested')) return;
        const data = message.json<{ requestId?: string; reason?: string }>();
        const reason = message.subject.endsWith('.rejected') ? String(data.reason) : '';
        const ids = new Set([
          data.requestId,
          message.headers?.get('ce-causationid'),
          message.headers?.get('ce-correlationid'),
        ]);
        for (const id of ids) if (id) onAnswer(id, message.subject, reason);
      },
    });
  }
}

interface Send {
  (subject: string, body: Buffer, id: string): Promise<void>;
  done(): Promise<void>;
}

/** Waits until the bus has stored each message; sends some at the same time. */
function sender(connection: NatsConnection): Send {
  const jetstream = connection.jetstream({ timeout: 30_000 });
  const flying = new Set<Promise<unknown>>();
  const send = async (subject: string, body: Buffer, id: string): Promise<void> => {
    if (flying.size >= IN_FLIGHT) await Promise.race(flying);
    const envelope = headers();
    envelope.set('ce-id', id);
    const stored: Promise<unknown> = jetstream
      .publish(subject, body, { headers: envelope })
      .finally(() => flying.delete(stored));
    flying.add(stored);
  };
  return Object.assign(send, { done: async () => void (await Promise.all(flying)) });
}

function memoryOf(stack: Stack): Record<string, number> {
  return Object.fromEntries(
    stack
      .file()
      .services.filter(({ name }) => name !== 'postgres')
      .map(({ id, pid }) => [
        id,
        processStartTime(pid) !== undefined
          ? Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
          : 0,
      ]),
  );
}

async function makeImage(stack: Stack): Promise<string> {
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const path = join(stack.home, 'recipe.yaml');
  writeFileSync(
    path,
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: [/bin/sleep, infinity]\n`,
  );
  const { ref } = JSON.parse((await stack.plinth('image', 'build', path, '--json')).stdout) as { ref: string };
  const promoted = await stack.plinth('image', 'promote', ref);
  if (promoted.code !== 0) throw new Error(promoted.stderr);
  return ref;
}
