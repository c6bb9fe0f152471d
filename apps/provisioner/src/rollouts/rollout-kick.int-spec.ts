/**
 * A request for a rollout, or to continue one, is planned at once: in this spec time never passes, so that no timer can
 * do it instead.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import {
  createLogger,
  ensureStreams,
  EventPublisher,
  newId,
  openDatabase,
  Outbox,
  OwnConsumers,
  type ReceivedEvent,
} from '@plinth/service-kit';
import { startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { PROVISIONER_MIGRATIONS } from '../postgres/migrations.js';
import { ImageActivationRequestedHandler } from './image-activation-requested.handler.js';
import { RolloutControl } from './rollout-control.js';
import { RolloutCreation } from './rollout-creation.js';
import { RolloutProgress } from './rollout-progress.js';
import { RolloutSwitch } from './rollout-switch.js';

const logger = createLogger('provisioner', 'test', 'fatal');
const config = new ProvisionerConfig();
const CONTAINER = 'c'.repeat(32);
const FIRST = '1'.repeat(32);
const PAUSED = '2'.repeat(32);
let nats: TestServer;
let postgres: TestServer;
let connection: NatsConnection;
let source: DataSource;
let outbox: Outbox;
let progress: RolloutProgress;
let creation: RolloutCreation;

beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  connection = await connect({ servers: nats.url });
  await ensureStreams(connection);
  source = await openDatabase({
    url: postgres.url,
    schema: 'provisioner',
    migrations: PROVISIONER_MIGRATIONS,
    logger,
  });
  outbox = new Outbox(source, new EventPublisher(connection, 'test'), new OwnConsumers(connection), logger);
  outbox.start();
  // A container on sn-1, and a version that stands on sn-2 only: its rollout can do no more than wait for that.
  const container = {
    containerId: CONTAINER,
    image: 'debian@v1',
    storageNode: 'sn-1',
    desired: 'running',
    follow: 'default',
  };
  await source.query(
    `INSERT INTO containers (id, tenant, name, request_id, request_digest, state, host, memory_bytes, cpus, config, requested_at)
     VALUES ('${CONTAINER}', 't', 'shop-1', 'r-1', 'd', 'running', 'h-1', 1, 1, $1, now())`,
    [container],
  );
  await source.query(
    `INSERT INTO image_versions (name, version, number, state, rank, content_digest)
     VALUES ('debian', 'v1', 1, 'promoted', 1, 'sha256:1'), ('debian', 'v2', 2, 'promoted', 1, 'sha256:2')`,
  );
  await source.query(
    `INSERT INTO masters (name, version, node, content_digest) VALUES ('debian', 'v2', 'sn-2', 'sha256:2')`,
  );
});
afterAll(async () => {
  await progress?.stop();
  await outbox?.stop();
  await source?.destroy();
  await connection?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
});
beforeEach(async () => {
  await progress?.stop();
  await source.query('TRUNCATE rollouts CASCADE');
  progress = new RolloutProgress(source, outbox, new RolloutSwitch(config), logger, { after: () => () => undefined });
  creation = new RolloutCreation(outbox, config, progress);
  await insertRollout(FIRST, 'rolling', null);
  progress.start();
  await reasonOf(FIRST);
});

function event<T extends object>(subject: string, data: T): ReceivedEvent<T> {
  const id = newId();
  const at = { time: new Date().toISOString(), storedAtMs: Date.now(), attempt: 1 };
  return { id, subject, tokens: subject.split('.'), data, correlationId: id, type: subject, source: 'test', ...at };
}

async function insertRollout(id: string, state: string, because: string | null): Promise<void> {
  await source.query(
    `INSERT INTO rollouts (id, request_id, request, correlation_id, target, state, paused_because)
     VALUES ($1, $1, $4, $1, 'debian@v2', $2, $3)`,
    [id, state, because, { select: { image: 'debian' }, to: 'debian@v2' }],
  );
  await source.query(
    `INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase) VALUES ($1, 0, '${CONTAINER}', 'debian@v1', 'debian@v2', 'pending')`,
    [id],
  );
}

/** The reason to wait that the planner stored, as soon as it has run. */
async function reasonOf(id: string): Promise<string> {
  for (const end = performance.now() + 120_000; performance.now() < end;) {
    const rows: { wait: { reason: string } | null }[] = await source.query('SELECT wait FROM rollouts WHERE id = $1', [
      id,
    ]);
    if (rows[0]?.wait) return rows[0].wait.reason;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`rollout ${id} was not planned`);
}

const newest = async (): Promise<string> =>
  ((await source.query('SELECT id FROM rollouts ORDER BY ordinal DESC LIMIT 1')) as { id: string }[])[0]?.id ?? '';

it('plans a rollout as soon as it was requested', async () => {
  await creation.create(event(SUBJECTS.rolloutRequested, { select: { image: 'debian' }, to: 'debian@v2' }));
  expect(await reasonOf(await newest())).toBe('image-not-staged');
});

it.each([
  { action: 'resume', because: 'person', reason: 'image-not-staged' },
  { action: 'approve', because: 'approval', reason: 'image-not-staged' },
] as const)('plans a rollout as soon as it may continue: $action', async ({ action, because, reason }) => {
  await insertRollout(PAUSED, 'paused', because);
  const subject = action === 'resume' ? SUBJECTS.rolloutResumeRequested : SUBJECTS.rolloutApprovalRequested;
  await new RolloutControl(outbox, progress).apply(event(subject, { rolloutId: PAUSED }), action);
  expect(await reasonOf(PAUSED)).toBe(reason);
});

it('plans the rollout of the containers that follow the default as soon as that is activated', async () => {
  const handler = new ImageActivationRequestedHandler(outbox, creation, progress);
  await handler.handle(event(SUBJECTS.imageActivationRequested, { image: 'debian@v2' }));
  expect(await reasonOf(await newest())).toBe('image-not-staged');
});
