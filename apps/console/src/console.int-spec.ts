/** The API on a real bus and a real database: who sees what, sign-in, streams that go on, hostile input. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { containerStatus, type ContainerStatus, sealConsoleLink } from '@plinth/contracts';
import { scratchDirectory, ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Role } from './domain/access.js';
import { ConsoleApi, events } from './testing/console-api.js';
import { containerAt, hostAt } from './testing/statuses.js';

const scratch = scratchDirectory();
const linkFile = join(scratch.path, 'link-secret');
const secret = randomBytes(32);
const api = new ConsoleApi(() => service.url, secret);
const call = api.call.bind(api);
const link = api.link.bind(api);
const signedIn = api.signedIn.bind(api);
let nats: TestServer;
let postgres: TestServer;
let bus: NatsConnection;
let service: ServiceProcess;
let other: ServiceProcess;

const start = (copy: string): Promise<ServiceProcess> =>
  ServiceProcess.start('console', {
    NATS_URL: nats.url,
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: `console-${copy}`,
    PLINTH_CONSOLE: copy,
    PLINTH_CONSOLE_LINK_FILE: linkFile,
  });

beforeAll(async () => {
  writeFileSync(linkFile, secret, { mode: 0o600 });
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  bus = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  service = await start('a');
  for (let index = 0; index < 6; index++) await publish(containerAt(index, { tenant: index < 2 ? 'acme' : 'zeta' }));
  await bus.jetstream().publish('status.host.h-1', JSON.stringify(hostAt(1)));
  other = await start('b');
});
afterAll(async () => {
  await Promise.all([service?.end(), other?.end()]);
  await bus?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  scratch.stop();
});

async function publish(status: ContainerStatus): Promise<void> {
  await bus.jetstream().publish(containerStatus(status.id), JSON.stringify(status), { timeout: 60_000 });
}

const PEOPLE: readonly (readonly [Role, readonly string[]])[] = [
  ['admin', []],
  ['operator', []],
  ['viewer', []],
  ['developer', ['acme']],
];
const ACME = containerAt(0, { tenant: 'acme' }).id;
const ZETA = containerAt(5, { tenant: 'zeta' }).id;

describe.each(PEOPLE)('a person who is %s', (role, tenants) => {
  const isDeveloper = role === 'developer';
  let cookie = '';
  beforeAll(async () => void (cookie = await signedIn(`p-${role}`, role, tenants)));

  it('gets the routes of the role', async () => {
    const paths = [
      'containers',
      `containers/${ACME}`,
      'overview',
      'session',
      'hosts',
      'storage',
      'rollouts',
      'sign-ins',
    ];
    const statuses: Record<string, number> = {};
    for (const path of paths) statuses[path] = (await call('GET', `/api/v1/${path}`, { cookie })).status;
    const staff = isDeveloper ? 403 : 200;
    expect(statuses).toEqual({
      containers: 200,
      [`containers/${ACME}`]: 200,
      overview: 200,
      session: 200,
      hosts: staff,
      storage: staff,
      rollouts: staff,
      'sign-ins': role === 'admin' ? 200 : 403,
    });
  });

  it('sees only what is of the own tenants: by list, filter, count, id and stream', async () => {
    const own = isDeveloper ? 2 : 6;
    const list = async (
      query: string,
    ): Promise<{ total: number; counts: Record<string, number>; items: ContainerStatus[] }> =>
      (await call('GET', `/api/v1/containers${query}`, { cookie })).json() as never;
    const all = await list('?limit=500');
    expect(all.total).toBe(own);
    expect(Object.values(all.counts).reduce((sum, number) => sum + number, 0)).toBe(own);
    expect((await list('?tenant=zeta')).total).toBe(isDeveloper ? 0 : 4);
    expect((await list('?q=tenant:zeta')).total).toBe(isDeveloper ? 0 : 4);
    expect((await call('GET', `/api/v1/containers/${ZETA}`, { cookie })).status).toBe(isDeveloper ? 404 : 200);
    const overview = (await (await call('GET', '/api/v1/overview', { cookie })).json()) as Record<string, unknown>;
    expect(Object.values(overview['containers'] as Record<string, number>).reduce((sum, n) => sum + n, 0)).toBe(own);
    expect('hosts' in overview).toBe(!isDeveloper);

    const rows: ContainerStatus[] = [];
    let hosts = 0;
    const stream = await call('GET', '/api/v1/stream', { cookie });
    for await (const { event, data } of events(stream)) {
      const { put } = data as { put?: { containers?: ContainerStatus[]; hosts?: unknown[] } };
      rows.push(...(put?.containers ?? []));
      hosts += put?.hosts?.length ?? 0;
      if (event === 'ready') break;
    }
    expect(rows).toHaveLength(own);
    expect(hosts).toBe(isDeveloper ? 0 : 1);
  });
});

describe('what was published', () => {
  it('is what the API gives, fields without a value included', async () => {
    const cookie = await signedIn('reader', 'viewer');
    const update: ContainerStatus['update'] = {
      updateId: 'a'.repeat(32),
      rolloutId: null,
      state: 'switching',
      from: 'debian-12@v1',
      to: 'debian-12@v2',
      reason: null,
      message: null,
      at: '2026-01-01T12:00:00.000Z',
    };
    const status = containerAt(4, { tenant: 'zeta', update });
    const stream = events(await call('GET', '/api/v1/stream', { cookie }));
    for await (const { event, data } of stream) {
      if (event === 'ready') await publish(status);
      if (event !== 'changes') continue;
      expect(data).toMatchObject({ put: { containers: [status] } });
      break;
    }
    const { items } = (await (await call('GET', '/api/v1/containers?q=shop-4', { cookie })).json()) as {
      items: object[];
    };
    expect(items).toEqual([status]);
    const overview = await (await call('GET', '/api/v1/overview', { cookie })).json();
    expect(overview).toMatchObject({ hosts: { ready: 1, draining: 0, cordoned: 0 } });
  });
});

describe('signing in', () => {
  it('takes a link once, for its time, and only with the seal', async () => {
    const once = link('someone', 'viewer');
    const tries = [
      once,
      once,
      link('someone', 'viewer', [], { until: Date.now() / 1000 - 1 }),
      link('someone', 'viewer', [], { until: Date.now() / 1000 + 3_600 }),
      sealConsoleLink(
        { id: 'x', user: 'u', role: 'admin', tenants: [], until: Date.now() / 1000 + 50 },
        randomBytes(32),
      ),
      'x.y',
    ];
    const statuses: number[] = [];
    for (const body of tries) statuses.push((await call('POST', '/api/v1/session', { body: { link: body } })).status);
    expect(statuses).toEqual([200, 401, 401, 401, 401, 401]);
  });

  it('takes a password, on every copy, ends other sessions at a change of it, and makes who guesses wait', async () => {
    const first = await signedIn('alice', 'viewer');
    const second = await signedIn('alice', 'viewer');
    const password = 'correct horse battery';
    expect((await call('PUT', '/api/v1/session/password', { cookie: second, body: { password } })).status).toBe(204);
    expect((await call('GET', '/api/v1/session', { cookie: first })).status).toBe(401);
    const enter = (text: string): Promise<Response> =>
      call('POST', '/api/v1/session', { at: other, body: { name: 'alice', password: text } });
    expect((await enter(password)).status).toBe(200);
    const statuses: number[] = [];
    for (let index = 0; index < 8; index++) statuses.push((await enter('wrong password')).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect((await call('DELETE', '/api/v1/session', { cookie: second })).status).toBe(204);
    expect((await call('GET', '/api/v1/session', { cookie: second })).status).toBe(401);
  });

  it('leaves a record that cannot be changed', async () => {
    const database = new Client({ connectionString: postgres.url });
    await database.connect();
    const { rows } = await database.query(
      "SELECT method, outcome, reason FROM console.console_sign_in WHERE actor = 'alice' ORDER BY id",
    );
    expect(rows).toContainEqual({ method: 'link', outcome: 'ok', reason: null });
    // Who only waits leaves one row a minute.
    const waiting = { method: 'password', outcome: 'refused', reason: 'too-many-sign-ins' };
    expect((rows as { reason: string | null }[]).filter(({ reason }) => reason === waiting.reason)).toEqual([waiting]);
    for (const statement of ['DELETE FROM', 'TRUNCATE'])
      await expect(database.query(`${statement} console.console_sign_in`)).rejects.toThrow('append-only');
    const stored = await database.query('SELECT password FROM console.console_user WHERE name = $1', ['alice']);
    expect(stored.rows[0]?.password).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$/);
    await database.end();
  });
});

describe('a stream', () => {
  it('sends changes, and goes on at another copy where it was cut', async () => {
    const cookie = await signedIn('follower', 'viewer');
    const stream = await call('GET', '/api/v1/stream?topics=containers', { cookie });
    expect(stream.headers.get('x-accel-buffering')).toBe('no');
    let id = '';
    for await (const event of events(stream)) {
      if (event.event === 'ready') await publish(containerAt(1, { tenant: 'acme', state: 'failed', message: 'one' }));
      if (event.event !== 'changes') continue;
      id = event.id ?? '';
      expect(event.data).toMatchObject({ put: { containers: [{ state: 'failed' }] } });
      break;
    }
    await publish(containerAt(2, { tenant: 'zeta', state: 'removed' }));
    await publish(containerAt(3, { tenant: 'zeta', state: 'stopped' }));
    const seen: string[] = [];
    const gone: string[] = [];
    const resumed = await call('GET', '/api/v1/stream?topics=containers', {
      cookie,
      at: other,
      headers: { 'last-event-id': id },
    });
    for await (const { event, data } of events(resumed)) {
      expect(['currency', 'changes']).toContain(event);
      if (event !== 'changes') continue;
      const changes = data as { put: { containers?: ContainerStatus[] }; gone: { containers?: string[] } };
      seen.push(...(changes.put.containers ?? []).map(({ name }) => name));
      gone.push(...(changes.gone.containers ?? []));
      if (seen.length > 0 && gone.length > 0) break;
    }
    expect(seen).toEqual([containerAt(3).name]);
    expect(gone).toEqual([containerAt(2).id]);
  });

  it.each(['', 'x', '00000000-1-1', '-1', '9'.repeat(90)])('sends everything again after the id "%s"', async (id) => {
    const cookie = await signedIn('follower', 'viewer');
    const stream = await call('GET', `/api/v1/stream?from=${id}`, { cookie });
    for await (const { event } of events(stream)) {
      if (event === 'currency') continue;
      expect(event).toBe('snapshot');
      break;
    }
  });

  it('reports that the bus is away, and recovers', async () => {
    const cookie = await signedIn('follower', 'viewer');
    const stream = events(await call('GET', '/api/v1/stream', { cookie }));
    const live = async (wanted: boolean): Promise<void> => {
      for await (const { event, data } of { [Symbol.asyncIterator]: () => ({ next: () => stream.next() }) })
        if (event === 'currency' && (data as { live: boolean }).live === wanted) return;
    };
    await live(true);
    await nats.pause();
    await live(false);
    const answer = (await (await call('GET', '/api/v1/containers', { cookie })).json()) as {
      live: boolean;
      total: number;
    };
    expect(answer).toMatchObject({ live: false, total: 5 });
    await nats.start();
    await live(true);
    await stream.return(undefined);
  });
});

describe('hostile input', () => {
  it('is refused with problem details, and changes nothing', async () => {
    const cookie = await signedIn('mallory', 'developer', ['acme']);
    const problems: Record<string, string> = {};
    const refused = async (name: string, response: Promise<Response>): Promise<void> => {
      const { status, headers } = await response;
      problems[name] = `${status} ${headers.get('content-type')?.split(';')[0]}`;
    };
    const problem = 'application/problem+json';
    await refused('no session', call('GET', '/api/v1/containers'));
    await refused('made-up session', call('GET', '/api/v1/containers', { cookie: `plinth-console=${'a'.repeat(43)}` }));
    await refused('foreign origin', call('DELETE', '/api/v1/session', { cookie, origin: 'http://evil.example' }));
    await refused('unknown parameter', call('GET', '/api/v1/containers?role=admin', { cookie }));
    await refused('limit', call('GET', '/api/v1/containers?limit=1e9', { cookie }));
    await refused('repeated', call('GET', '/api/v1/containers?tenant=acme&tenant=zeta', { cookie }));
    await refused('cursor', call('GET', '/api/v1/containers?cursor=../../etc', { cookie }));
    await refused('id', call('GET', '/api/v1/containers/..%2f..%2fetc%2fpasswd', { cookie }));
    await refused('path', call('GET', '/api/v2/containers', { cookie }));
    await refused('prototype', call('POST', '/api/v1/session', { body: '{"__proto__":{"role":"admin"},"name":"a"}' }));
    await refused('types', call('POST', '/api/v1/session', { body: { name: { $ne: '' }, password: ['x'] } }));
    await refused(
      'long password',
      call('POST', '/api/v1/session', { body: { name: 'a', password: 'x'.repeat(2_000) } }),
    );
    expect(problems).toEqual({
      'no session': `401 ${problem}`,
      'made-up session': `401 ${problem}`,
      'foreign origin': `403 ${problem}`,
      'unknown parameter': `400 ${problem}`,
      limit: `400 ${problem}`,
      repeated: `400 ${problem}`,
      cursor: `400 ${problem}`,
      id: `404 ${problem}`,
      path: `404 ${problem}`,
      prototype: `400 ${problem}`,
      types: `400 ${problem}`,
      'long password': `400 ${problem}`,
    });
    const noJson = await call('POST', '/api/v1/session', { body: '{' });
    expect([noJson.status, noJson.headers.get('content-type')]).toEqual([400, problem]);
    expect((await call('GET', '/api/v1/session', { cookie })).status).toBe(200);
    const metrics = await (await call('GET', '/metrics')).text();
    expect(metrics).toMatch(/plinth_sign_ins_total\{method="link",outcome="ok"\} \d/);
    expect(metrics).toContain('plinth_console_live 1');
    const page = await call('GET', '/');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
  });
});
