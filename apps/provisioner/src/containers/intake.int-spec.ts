/** Bursts of requests with two provisioners, on a real NATS and PostgreSQL. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import { headers } from 'nats';
import pg from 'pg';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const BURST = 2_000;
const AT_ONCE = 200;
/** The simulation of a fleet, which checks what it did. */
const FLEET = join(import.meta.dirname, '../../../../bench/dist/fleet.js');

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, ['host-1', 'host-2'], 5_000, { PLINTH_TENANT_MAX_CONTAINERS: '20' });
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const answers = (tenant: string): readonly Record<string, unknown>[] => [
  ...suite.of(SUBJECTS.containerConfigured, { tenant }),
  ...suite.of(SUBJECTS.containerRejected, { tenant }),
];
/** Subscribers may receive some facts twice when their sender was killed. */
const answered = (tenant: string): number => new Set(answers(tenant).map(({ requestId }) => requestId)).size;

async function burst(tenant: string): Promise<void> {
  for (let sent = 0; sent < BURST; sent += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) =>
        suite.ask(SUBJECTS.containerRequested, { name: `c-${sent + index}`, tenant }),
      ),
    );
}

async function count(text: string): Promise<number> {
  const client = new pg.Client({ connectionString: suite.databaseUrl });
  await client.connect();
  try {
    return Number((await client.query<{ count: string }>(text)).rows[0]?.count);
  } finally {
    await client.end();
  }
}

it("a tenant's burst is answered whole, and does not keep another's single request waiting", async () => {
  // All of it is on the bus before the first is decided.
  for (const provisioner of suite.provisioners) provisioner.signal('SIGSTOP');
  await burst('greedy');
  await suite.ask(SUBJECTS.containerRequested, { name: 'single', tenant: 'modest' });
  for (const provisioner of suite.provisioners) provisioner.signal('SIGCONT');
  await suite.fact(SUBJECTS.containerConfigured, { tenant: 'modest' });
  expect(answered('greedy')).toBeLessThan(BURST * 0.75);
  await suite.until(() => answered('greedy') === BURST, 'all are answered');
  expect(answers('greedy')).toHaveLength(BURST);
  expect(await count('SELECT count(*) FROM provisioner.intake')).toBe(0);
});

it('a burst is answered whole, each request once, when the provisioners are killed in it', async () => {
  await burst('killed');
  for (const provisioner of [...suite.provisioners]) {
    await provisioner.end('SIGKILL');
    await suite.startProvisioner('provisioner-again');
  }
  await suite.until(() => answered('killed') === BURST, 'all are answered');
  const answeredRequests = `FROM provisioner.outbox_events WHERE subject IN ('container.configured', 'container.rejected') AND data->>'tenant' = 'killed'`;
  expect(await count(`SELECT count(*) ${answeredRequests}`)).toBe(BURST);
  expect(await count(`SELECT count(DISTINCT data->>'requestId') ${answeredRequests}`)).toBe(BURST);
  expect(await count('SELECT count(*) FROM provisioner.intake')).toBe(0);
});

it('a subscriber that does not read affects no other', async () => {
  const [stalled, deaf] = [connect(suite.natsPort, '127.0.0.1'), connect(suite.natsPort, '127.0.0.1')];
  for (const socket of [stalled, deaf]) {
    await once(socket, 'connect');
    // There are enough facts for the server to have more to send than a socket holds.
    const listening = Array.from({ length: 50 }, (_, index) => `SUB container.> ${index + 1}\r\n`).join('');
    socket.write(`CONNECT {"verbose":false}\r\n${listening}PING\r\n`);
    socket.on('error', () => undefined).pause();
  }
  await burst('slow-reader');
  await suite.until(() => answered('slow-reader') === BURST, 'all are answered');
  expect(answers('slow-reader')).toHaveLength(BURST);
  for (const socket of [stalled, deaf]) socket.destroy();
});

it('many hosts, a killed provisioner: no host gets more than its capacity, nothing is placed twice, nothing is lost', async () => {
  // More hosts than are locked together. What it prints about a violation is in the failure.
  const argv = ['--hosts', '60', '--requests', '600', '--provisioners', '2', '--singles', '5', '--kill'];
  const { status, stderr } = await new Promise<{ status: number | null; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [FLEET, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('close', (status) => resolve({ status, stderr }));
  });
  expect({ status, stderr }).toMatchObject({ status: 0 });
});

it('two requests under one id, in a burst, are distinguished', async () => {
  const filler = burst('filler');
  const id = randomBytes(16).toString('hex');
  const envelope = headers();
  envelope.set('ce-id', id);
  for (const name of ['first', 'second'])
    await suite.jetstream.publish(SUBJECTS.containerRequested, JSON.stringify({ name, tenant: 'same-id' }), {
      headers: envelope,
    });
  await filler;
  expect(await suite.fact(SUBJECTS.containerRejected, { requestId: id })).toMatchObject({
    reason: 'request-id-reused',
  });
  expect(suite.of(SUBJECTS.containerConfigured, { requestId: id })).toHaveLength(1);
  await suite.until(() => answered('filler') === BURST, 'all are answered');
});
