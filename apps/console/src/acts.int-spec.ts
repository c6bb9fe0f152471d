/**
 * Acts, their record and API tokens on a bus with access control, a real provisioner and a real database: nobody does
 * or sees what is not theirs, and everything that was tried is on record.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { accessFile, addMembers, type Member, seedFile } from '@plinth/bus-access';
import {
  ACTING_ROLES,
  agentLogs,
  CONSOLE_ACTS,
  containerStatus,
  hostHeartbeat,
  hostStatus,
  SUBJECTS,
} from '@plinth/contracts';
import type { AuditEntry, AuditList, EventList, RequestAnswer, TokenList, TokenMade } from '@plinth/contracts/console';
import { scratchDirectory, ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { EventPublisher, loginOptions, newId } from '@plinth/service-kit/messaging';
import { connect, type NatsConnection } from 'nats';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { Role } from './domain/access.js';
import { ConsoleApi, events } from './testing/console-api.js';
import { serveLogs } from './testing/scripted-logs.js';
import { containerAt } from './testing/statuses.js';

const scratch = scratchDirectory();
const directory = join(scratch.path, 'access');
const secret = randomBytes(32);
const HOST: Member = { kind: 'host', name: 'h-1' };
const ACME = containerAt(0, { tenant: 'acme' });
const ZETA = containerAt(5, { tenant: 'zeta', host: 'h-1' });
const WITHOUT_HOST = containerAt(6, { tenant: 'acme', host: null });
const PEOPLE: readonly (readonly [Role, readonly string[]])[] = [
  ['admin', []],
  ['operator', []],
  ['viewer', []],
  ['developer', ['acme']],
];
let nats: TestServer;
let postgres: TestServer;
let database: Client;
let provisioner: ServiceProcess;
let service: ServiceProcess;
let other: ServiceProcess;
/** The provisioner's own: for statuses of containers that no test has to place. */
let official: NatsConnection;
let host: NatsConnection;
let operator: NatsConnection;
let beating: NodeJS.Timeout;
const api = new ConsoleApi(() => service.url, secret);
const cookies = new Map<Role, string>();
const as = (role: Role): { readonly cookie: string } => ({ cookie: cookies.get(role) ?? '' });

const login = (member: Member): Promise<NatsConnection> =>
  connect({ servers: nats.url, ...loginOptions({ nkeyFile: seedFile(directory, member) }) });

const startConsole = (copy: string, change: Record<string, string> = {}): Promise<ServiceProcess> =>
  ServiceProcess.start('console', {
    NATS_URL: nats.url,
    NATS_NKEY_FILE: seedFile(directory, { kind: 'console', name: copy }),
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: `console-${copy}`,
    PLINTH_CONSOLE: copy,
    PLINTH_CONSOLE_LINK_FILE: join(scratch.path, 'link-secret'),
    PLINTH_CONSOLE_ACTS_DIR: dirname(seedFile(directory, HOST)),
    ...change,
  });

beforeAll(async () => {
  writeFileSync(join(scratch.path, 'link-secret'), secret, { mode: 0o600 });
  addMembers(directory, [
    { kind: 'provisioner' },
    { kind: 'image-builder' },
    HOST,
    ...['a', 'b'].map((name): Member => ({ kind: 'console', name })),
    ...ACTING_ROLES.map((name): Member => ({ kind: 'acts', name })),
    { kind: 'operator' },
  ]);
  [nats, postgres] = await Promise.all([startNats([accessFile(directory)]), startPostgres()]);
  provisioner = await ServiceProcess.start('provisioner', {
    NATS_URL: nats.url,
    NATS_NKEY_FILE: seedFile(directory, { kind: 'provisioner' }),
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: 'provisioner-1',
  });
  official = await login({ kind: 'provisioner' });
  host = await login(HOST);
  operator = await login({ kind: 'operator' });
  for (const status of [ACME, ZETA, WITHOUT_HOST])
    await official.jetstream().publish(containerStatus(status.id), JSON.stringify(status), { timeout: 60_000 });
  const beat = (): void => host.publish(hostHeartbeat('h-1'), JSON.stringify(heartbeat()));
  beating = setInterval(beat, 500);
  const seen = operator.subscribe(hostStatus('h-1'), { max: 1 });
  beat();
  for await (const _ of seen) break;
  service = await startConsole('a');
  other = await startConsole('b');
  for (const [role, tenants] of PEOPLE) cookies.set(role, await api.signedIn(`p-${role}`, role, tenants));
  database = new Client({ connectionString: postgres.url });
  await database.connect();
});
afterAll(async () => {
  clearInterval(beating);
  await database?.end();
  await Promise.all([service?.end(), other?.end()]);
  await provisioner?.end();
  await Promise.all([official, host, operator].map((connection) => connection?.close()));
  await Promise.all([nats?.stop(), postgres?.stop()]);
  scratch.stop();
});

function heartbeat(): object {
  return {
    host: 'h-1',
    incarnation: '0'.repeat(32),
    at: new Date().toISOString(),
    datacenter: 'dc-1',
    storageNodes: ['sn-1'],
    capacity: { memoryBytes: 1024 ** 4, cpus: 64, containers: 100 },
    load: { load1: 0, memoryUsedBytes: 0, containers: 0 },
    runtime: 'scripted',
  };
}

/** A request that is whole: what it names is not there, but for the host. */
function bodyFor(name: string): object {
  const bodies: Readonly<Record<string, object>> = {
    'container.create': { name: 'new-1', tenant: 'acme' },
    'container.change': { limits: { memoryBytes: 64 * 1024 ** 2 } },
    'container.switch': { to: 'debian-12@v2' },
    'rollout.start': { select: { image: 'debian-12' }, to: 'debian-12@v2' },
    'host.label': { set: { rack: 'r1' } },
    'image.build': { recipe: 'name: x' },
    'image.revoke': { reason: 'it is broken' },
    'image.pin': { pinned: true },
    'tenant.change': { egress: { policy: 'none' } },
  };
  return bodies[name] ?? {};
}

const pathFor = (path: string, container: string): string =>
  path
    .replace('/containers/{id}', `/containers/${container}`)
    .replace('{id}', '0'.repeat(32))
    .replace('{name}', 'h-1')
    .replace('{ref}', 'debian-12@v9')
    .replace('{tenant}', 'acme');

const audit = async (query: string): Promise<readonly AuditEntry[]> =>
  (await api.ask<AuditList>('GET', `/audit?${query}`, as('admin'))).body.items;

describe.each(PEOPLE)('a person who is %s', (role) => {
  it('does what the role may, and each try is on record with its outcome', async () => {
    const statuses: Record<string, number> = {};
    const expected: Record<string, number> = {};
    for (const { name, path, roles } of CONSOLE_ACTS) {
      // What no image-builder answers stays pending here.
      const wait = name === 'image.build' || /^image\.(?:promote|revoke)$/.test(name) ? '' : '?wait=30';
      const asked = await api.ask<RequestAnswer>('POST', `${pathFor(path, ACME.id)}${wait}`, {
        ...as(role),
        body: bodyFor(name),
      });
      statuses[name] = asked.status;
      expected[name] = (roles as readonly Role[]).includes(role) ? (wait === '' ? 202 : 200) : 403;
      if (asked.status < 300) expect(asked.body).toMatchObject({ act: name, actor: `p-${role}` });
    }
    expect(statuses).toEqual(expected);
    const recorded = await audit(`actor=p-${role}&limit=200`);
    expect(recorded.map(({ act }) => act).sort()).toEqual(CONSOLE_ACTS.map(({ name }) => name).sort());
    for (const entry of recorded) {
      expect(entry).toMatchObject({ via: 'session', address: '127.0.0.1' });
      if (expected[entry.act] === 403)
        expect(entry).toMatchObject({ outcome: 'refused', reason: 'role-not-allowed', requestId: null });
      if (expected[entry.act] === 202) expect(entry.outcome).toBe('pending');
    }
    if (role === 'operator') {
      const outcome = (act: string): string => recorded.find((entry) => entry.act === act)?.outcome ?? '';
      expect(['host.cordon', 'host.uncordon', 'host.label'].map(outcome)).toEqual(['done', 'done', 'done']);
      expect(recorded.find(({ act }) => act === 'container.stop')).toMatchObject({
        target: ACME.id,
        tenant: 'acme',
        outcome: 'refused',
        reason: 'container-not-found',
      });
    }
  });

  it('reads logs of what may be known, and no agent is asked for others', async () => {
    const asked: string[] = [];
    const agent = serveLogs(host, agentLogs('h-1'), ({ containerId }) => {
      asked.push(containerId);
      return { chunks: [[1, 'stdout', 'T1 hello\nT2 \u001b[2J\n']] };
    });
    await host.flush();
    const status = async (id: string): Promise<number> =>
      (await api.call('GET', `/api/v1/containers/${id}/logs`, as(role))).status;
    const isDeveloper = role === 'developer';
    expect({
      acme: await status(ACME.id),
      zeta: await status(ZETA.id),
      'without a host': await status(WITHOUT_HOST.id),
      unknown: await status('f'.repeat(32)),
      'no id': await status('%2e%2e'),
    }).toEqual({
      acme: 200,
      zeta: isDeveloper ? 404 : 200,
      'without a host': 409,
      unknown: 404,
      'no id': 404,
    });
    expect(asked).toEqual(isDeveloper ? [ACME.id] : [ACME.id, ZETA.id]);
    const path = `/api/v1/containers/${ACME.id}/logs`;
    expect(await (await api.call('GET', path, as(role))).text()).toBe('hello\n\\x1b[2J\n');
    expect((await api.call('GET', path)).status).toBe(401);
    const stream = events(await api.call('GET', `${path}?follow=true&tail=5`, as(role)));
    expect((await stream.next()).value).toMatchObject({
      event: 'lines',
      data: { items: [{ time: 'T1', stream: 'stdout', text: 'hello' }, { text: '\u001b[2J' }] },
    });
    expect((await stream.next()).value).toMatchObject({ event: 'end', data: { reason: 'container-gone' } });
    agent.unsubscribe();
  });

  it('does nothing to what must not be known', async () => {
    const isDeveloper = role === 'developer';
    const refused = role === 'viewer' ? 403 : isDeveloper ? 404 : 200;
    for (const act of CONSOLE_ACTS.filter(({ path }) => path.startsWith('/containers/'))) {
      const asked = await api.ask('POST', `${pathFor(act.path, ZETA.id)}?wait=30`, {
        ...as(role),
        body: bodyFor(act.name),
      });
      expect(`${act.name} ${asked.status}`).toBe(
        `${act.name} ${isDeveloper && act.name === 'container.switch' ? 403 : refused}`,
      );
    }
  });

  it('reads only what is of the own tenants: events, their stream, requests', async () => {
    const tenantsOf = (items: EventList['items']): ReadonlySet<unknown> =>
      new Set(items.map(({ data }) => data['tenant']).filter((tenant) => tenant !== undefined));
    const { items } = (await api.ask<EventList>('GET', '/events?limit=500', as(role))).body;
    expect(items.length).toBeGreaterThan(0);
    const stream = events(
      await api.call('GET', '/api/v1/events?limit=500', { ...as(role), headers: { accept: 'text/event-stream' } }),
    );
    const first = (await stream.next()).value as { data: { items: EventList['items'] } };
    await stream.return(undefined);
    if (role === 'developer') {
      expect(tenantsOf(items)).toEqual(new Set(['acme']));
      expect(items.every(({ subject }) => subject.startsWith('container.'))).toBe(true);
      expect(tenantsOf(first.data.items)).toEqual(new Set(['acme']));
      expect((await api.ask<EventList>('GET', '/events?tenant=zeta', as(role))).body.items).toEqual([]);
    }
    const [host] = await audit('act=host.cordon&outcome=done&limit=1');
    expect((await api.ask('GET', `/requests/${host?.requestId}`, as(role))).status).toBe(
      role === 'developer' ? 404 : 200,
    );
  });

  it('manages people, tokens and dead letters as the role may', async () => {
    const admin = role === 'admin';
    const statuses = {
      users: (await api.ask('GET', '/users', as(role))).status,
      'users add': (await api.ask('POST', '/users', { ...as(role), body: { name: `u-${role}`, role: 'viewer' } }))
        .status,
      'users change': (await api.ask('PATCH', '/users/p-viewer', { ...as(role), body: {} })).status,
      audit: (await api.ask('GET', '/audit', as(role))).status,
      'dead letters': (await api.ask('GET', '/dead-letters', as(role))).status,
      'dead letters drop': (await api.ask('DELETE', '/dead-letters/1', as(role))).status,
      'image uses': (await api.ask('GET', '/images/debian-12@v9/uses', as(role))).status,
      'token of an admin': (await api.ask('POST', '/tokens', { ...as(role), body: { name: 't', role: 'admin' } }))
        .status,
      'token of another tenant': (
        await api.ask('POST', '/tokens', { ...as(role), body: { name: 't', role: 'developer', tenants: ['zeta'] } })
      ).status,
    };
    const staff = role !== 'developer';
    expect(statuses).toEqual({
      users: admin ? 200 : 403,
      'users add': admin ? 204 : 403,
      'users change': admin ? 204 : 403,
      audit: admin ? 200 : 403,
      'dead letters': admin ? 200 : 403,
      'dead letters drop': admin ? 404 : 403,
      'image uses': staff ? 404 : 403,
      'token of an admin': admin ? 201 : 403,
      'token of another tenant': admin || role === 'operator' ? 201 : 403,
    });
    // Their sessions ended with the change.
    if (admin) cookies.set('viewer', await api.signedIn('p-viewer', 'viewer'));
  });
});

describe('a request', () => {
  it('with the same key twice is one act, also at another copy; the key stands for nothing else', async () => {
    const key = `key-${newId()}`;
    const drain = { ...as('operator'), body: { reason: 'a new disk' }, headers: { 'idempotency-key': key } };
    const first = await api.ask<RequestAnswer>('POST', '/hosts/h-1/cordon?wait=30', drain);
    const second = await api.ask<RequestAnswer>('POST', '/hosts/h-1/cordon?wait=30', { ...drain, at: other });
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.body).toMatchObject({ id: key, state: 'done', at: first.body.at });
    expect(first.headers.get('location')).toBe(`/api/v1/requests/${key}`);
    expect((await api.ask<RequestAnswer>('GET', `/requests/${key}`, { ...as('viewer'), at: other })).body.state).toBe(
      'done',
    );
    expect((await api.ask('POST', '/hosts/h-1/uncordon', drain)).status).toBe(409);
    expect((await api.ask('POST', '/hosts/h-1/cordon', { ...drain, ...as('admin') })).status).toBe(409);
    expect(await audit('act=host.cordon&target=h-1&actor=p-operator&limit=1')).toMatchObject([
      { requestId: key, why: 'a new disk', outcome: 'done' },
    ]);
    const phases = await database.query('SELECT phase FROM console.console_audit WHERE request_id = $1', [key]);
    expect(phases.rows.map(({ phase }) => phase as string).sort()).toEqual(['asked', 'ended', 'published']);
    const bad = await api.ask('POST', '/hosts/h-1/cordon', { ...drain, headers: { 'idempotency-key': 'x y' } });
    expect(bad.status).toBe(400);
  });

  it('is the same whatever the order of its fields', async () => {
    const headers = { 'idempotency-key': `key-${newId()}` };
    const labels = [{ set: { rack: 'r1', row: 'a' } }, { set: { row: 'a', rack: 'r1' } }, { set: { rack: 'r2' } }];
    const statuses: number[] = [];
    for (const body of labels)
      statuses.push((await api.ask('POST', '/hosts/h-1/label?wait=30', { ...as('operator'), headers, body })).status);
    expect(statuses).toEqual([200, 200, 409]);
  });

  it('that the bus never received has failed, and its key does not bring it back', async () => {
    const headers = { 'idempotency-key': `key-${newId()}` };
    const cordon = { ...as('operator'), headers };
    // What a console leaves that dies before it publishes; and another one whose answer is still to come.
    const [never, key] = [headers['idempotency-key'], newId()];
    for (const [id, phases] of [
      [never, ['asked']],
      [key, ['asked', 'published']],
    ] as const)
      for (const phase of phases)
        await database.query(
          `INSERT INTO console.console_audit (at, phase, actor, via, act, target, request_id, digest)
             VALUES (clock_timestamp() - interval '2 minutes', $1, 'p-operator', 'session', 'host.cordon', 'h-1', $2, $3)`,
          [phase, id, createHash('sha256').update('["host.cordon",{"host":"h-1"}]').digest()],
        );
    const found = async (id: string): Promise<RequestAnswer> =>
      (await api.ask<RequestAnswer>('GET', `/requests/${id}`, as('operator'))).body;
    while ((await found(never)).state === 'pending') await delay(100);
    expect(await found(never)).toMatchObject({ state: 'failed', reason: 'not-published' });
    expect((await found(key)).state).toBe('pending');
    const again = await api.ask<{ detail: string }>('POST', '/hosts/h-1/cordon', cordon);
    expect(again.status).toBe(409);
    expect(again.body.detail).toContain('new Idempotency-Key');
  });

  it('that a person sent from elsewhere is on record by the name that it carries', async () => {
    const publisher = new EventPublisher(operator, 'plinth-cli');
    const id = newId();
    await publisher.publishUnchecked(SUBJECTS.hostUncordonRequested, { host: 'h-1' }, { id, actor: 'olga@laptop' });
    // Nobody's name: of a program.
    const program = newId();
    await publisher.publishUnchecked(SUBJECTS.hostCordonRequested, { host: 'h-2' }, { id: program });
    // What follows it in the stream is recorded after it.
    const follows = await api.ask<RequestAnswer>('POST', '/hosts/h-1/cordon?wait=30', as('operator'));
    expect(follows.body.state).toBe('done');
    expect((await api.ask<RequestAnswer>('GET', `/requests/${id}?wait=30`, as('viewer'))).body.state).toBe('done');
    expect(await audit('actor=olga%40laptop')).toMatchObject([
      { requestId: id, act: 'host.uncordon', target: 'h-1', via: 'bus', outcome: 'done' },
    ]);
    expect((await api.ask('GET', `/requests/${program}`, as('admin'))).status).toBe(404);
    const { items } = (await api.ask<EventList>('GET', `/events?correlation=${id}`, as('viewer'))).body;
    expect(items.map(({ subject }) => subject)).toEqual(['host.uncordoned', 'host.uncordon.requested']);
    expect(items[1]).toMatchObject({ actor: 'olga@laptop' });
  });

  it('that is hostile is refused, and nothing is published', async () => {
    const tries: readonly (readonly [string, unknown, number, Role])[] = [
      ['/containers', { name: 'x', tenant: 'zeta' }, 403, 'developer'],
      ['/containers', { name: 'x', image: 'debian-12@v1' }, 403, 'developer'],
      ['/containers', { name: 'x', hostUsers: true }, 403, 'developer'],
      ['/containers', { name: 'x', network: 'host' }, 403, 'developer'],
      [`/containers/${ACME.id}/stop`, { id: ZETA.id }, 400, 'developer'],
      [`/containers/${ACME.id}/stop`, { tenant: 'zeta', name: ZETA.name }, 400, 'developer'],
      ['/containers/..%2f..%2fusers/stop', {}, 404, 'operator'],
      ['/hosts/*/drain', {}, 400, 'operator'],
      ['/hosts/h-1/drain', { parallel: 1e9 }, 400, 'operator'],
      ['/hosts/h-1/drain', { reason: 'x'.repeat(501) }, 400, 'operator'],
      ['/hosts/h-1/drain', [], 400, 'operator'],
      ['/hosts/h-1/drain', '{"__proto__":{"host":"h-2"}}', 400, 'operator'],
      ['/hosts/h-1/drain?wait=1e9', {}, 400, 'operator'],
      ['/rollouts/x/approve', {}, 400, 'operator'],
    ];
    const published = async (): Promise<readonly (number | undefined)[]> => {
      const last: (number | undefined)[] = [];
      for (const subject of ['host.drain.requested', 'container.requested', 'container.stop.requested'])
        last.push(
          (await api.ask<EventList>('GET', `/events?limit=1&subject=${subject}`, as('admin'))).body.items[0]?.sequence,
        );
      return last;
    };
    const before = await published();
    for (const [path, body, status, role] of tries)
      expect(`${path} ${(await api.ask('POST', path, { ...as(role), body })).status}`).toBe(`${path} ${status}`);
    const foreign = { ...as('operator'), origin: 'http://evil.example' };
    expect((await api.ask('POST', '/hosts/h-1/drain', foreign)).status).toBe(403);
    // A form of another site sends no Origin of ours, and a cookie is not enough without it.
    const bare = await fetch(`${service.url}/api/v1/hosts/h-1/drain`, { method: 'POST', headers: as('operator') });
    expect(bare.status).toBe(403);
    expect((await api.ask('POST', '/hosts/h-1/drain')).status).toBe(401);
    expect(await published()).toEqual(before);
  });
});

describe('a log', () => {
  it('ends with the reason when output was lost on its way', async () => {
    const agent = serveLogs(host, agentLogs('h-1'), () => ({
      chunks: [
        [1, 'stdout', 'T1 first\n'],
        [3, 'stdout', 'T3 third\n'],
      ],
    }));
    await host.flush();
    const path = `/api/v1/containers/${ACME.id}/logs`;
    const sent: unknown[] = [];
    for await (const { event, data } of events(await api.call('GET', `${path}?follow=true`, as('viewer'))))
      sent.push([event, data]);
    expect(sent.at(-1)).toMatchObject(['end', { reason: 'cut-off' }]);
    agent.unsubscribe();
    await host.flush();
  });
});

describe('an API token', () => {
  const make = async (role: Role, body: object): Promise<TokenMade> => {
    const made = await api.ask<TokenMade>('POST', '/tokens', { ...as(role), body });
    expect(made.status).toBe(201);
    return made.body;
  };

  it('acts with its own rights, without an origin, on record; and ends when it is revoked', async () => {
    const { token, entry } = await make('operator', { name: 'ci', role: 'developer', tenants: ['acme'], days: 1 });
    expect(token).toMatch(/^plinth_[0-9a-f]{12}_[\w-]{43}$/);
    const stop = await api.ask<RequestAnswer>('POST', `/containers/${ACME.id}/stop?wait=30`, { token });
    expect(stop).toMatchObject({ status: 200, body: { state: 'refused', reason: 'container-not-found' } });
    const tries = {
      zeta: (await api.ask('POST', `/containers/${ZETA.id}/stop`, { token })).status,
      hosts: (await api.ask('GET', '/hosts', { token })).status,
      drain: (await api.ask('POST', '/hosts/h-1/drain', { token })).status,
      tokens: (await api.ask('POST', '/tokens', { token, body: { name: 'x', role: 'developer', tenants: ['acme'] } }))
        .status,
      password: (await api.ask('PUT', '/session/password', { token, body: { password: 'correct horse battery' } }))
        .status,
      // The cookie of an admin beside it gives no right.
      both: (await api.ask('GET', '/hosts', { token, ...as('admin') })).status,
      foreign: (
        await api.ask('POST', `/containers/${ACME.id}/stop`, { token, ...as('admin'), origin: 'http://e.example' })
      ).status,
      made: (await api.ask('GET', '/session', { token: `${token.slice(0, -1)}_` })).status,
      none: (await api.ask('GET', '/session', { token: 'plinth_x' })).status,
    };
    expect(tries).toEqual({
      zeta: 404,
      hosts: 403,
      drain: 403,
      tokens: 403,
      password: 403,
      both: 403,
      foreign: 403,
      made: 401,
      none: 401,
    });
    expect(await audit(`actor=p-operator&act=container.stop&outcome=refused&limit=1`)).toMatchObject([
      { via: `token ${entry.id}` },
    ]);
    const listed = await api.ask<TokenList>('GET', '/tokens', as('operator'));
    expect(JSON.stringify(listed.body)).not.toContain(token.slice(-43));
    expect(listed.body.items.find(({ id }) => id === entry.id)?.usedAt).not.toBeNull();
    expect((await api.ask('DELETE', `/tokens/${entry.id}`, as('viewer'))).status).toBe(404);
    expect((await api.ask('DELETE', `/tokens/${entry.id}`, as('operator'))).status).toBe(204);
    expect((await api.ask('GET', '/session', { token })).status).toBe(401);
    const stored = await database.query('SELECT hash FROM console.console_token WHERE id = $1', [entry.id]);
    expect(Buffer.from(stored.rows[0]?.hash as Buffer)).toHaveLength(32);
  });

  it('has no more rights than its owner has now, and none when it is over', async () => {
    const cookie = await api.signedIn('tess', 'operator');
    const made = await api.ask<TokenMade>('POST', '/tokens', { cookie, body: { name: 't', role: 'operator' } });
    const { token, entry } = made.body;
    const status = async (): Promise<number> => (await api.ask('GET', '/session', { token })).status;
    expect(await status()).toBe(200);
    const change = async (body: object): Promise<void> => {
      expect((await api.ask('PATCH', '/users/tess', { ...as('admin'), body })).status).toBe(204);
    };
    await change({ role: 'viewer' });
    expect((await api.ask('GET', '/session', { cookie })).status).toBe(401);
    expect(await status()).toBe(401);
    await change({ role: 'operator' });
    expect(await status()).toBe(200);
    await change({ disabled: true });
    expect(await status()).toBe(401);
    await change({ disabled: false });
    await database.query('UPDATE console.console_token SET ends_at = now() WHERE id = $1', [entry.id]);
    expect(await status()).toBe(401);
  });
});

describe('people and their sessions', () => {
  it('are added with a password, changed, and one admin stays', async () => {
    const password = 'correct horse battery';
    const enter = async (text: string): Promise<number> =>
      (await api.ask('POST', '/session', { body: { name: 'nina', password: text } })).status;
    const add = (body: object): Promise<{ status: number }> => api.ask('POST', '/users', { ...as('admin'), body });
    expect((await add({ name: 'nina', role: 'developer', password })).status).toBe(400);
    expect((await add({ name: 'nina', role: 'developer', tenants: ['acme'], password })).status).toBe(204);
    expect((await add({ name: 'nina', role: 'viewer' })).status).toBe(409);
    expect(await enter(password)).toBe(200);
    expect((await api.ask('PATCH', '/users/nina', { ...as('admin'), body: { disabled: true } })).status).toBe(204);
    expect(await enter(password)).toBe(401);
    expect((await api.ask('PATCH', '/users/nobody', { ...as('admin'), body: { disabled: true } })).status).toBe(404);
    expect((await api.ask('PATCH', '/users/p-admin', { ...as('admin'), body: { role: 'viewer' } })).body).toMatchObject(
      {
        reason: 'last-admin',
      },
    );
    expect((await audit('act=user')).map(({ act, target }) => `${act} ${target}`)).toContain('user.add nina');
  });

  it('end when they are idle and after their time; over https the cookie is only for it', async () => {
    const cookie = await api.signedIn('sue', 'viewer');
    const status = async (): Promise<number> => (await api.ask('GET', '/session', { cookie })).status;
    const set = (change: string): Promise<unknown> =>
      database.query(`UPDATE console.console_session SET ${change} WHERE user_name = 'sue'`);
    expect(await status()).toBe(200);
    await set("used_at = now() - interval '31 minutes'");
    expect(await status()).toBe(401);
    await set("used_at = now(), ends_at = now() - interval '1 second'");
    expect(await status()).toBe(401);

    await other.end();
    other = await startConsole('b', { PLINTH_CONSOLE_URL: 'https://plinth.example.org' });
    const [, port = ''] = /:(\d+)$/.exec(other.url) ?? [];
    const begun = await postAs('plinth.example.org', Number(port), { link: api.link('sue', 'viewer') });
    expect(begun).toMatch(
      /^__Host-plinth-console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/,
    );
  });
});

describe('the record of acts', () => {
  it('cannot be changed, by the role of the service itself', async () => {
    for (const statement of [
      'DELETE FROM console.console_audit',
      "UPDATE console.console_audit SET actor = 'nobody'",
      'TRUNCATE console.console_audit',
    ])
      await expect(database.query(statement)).rejects.toThrow('append-only');
  });

  it('has pages and filters', async () => {
    const page = async (query: string): Promise<AuditList> =>
      (await api.ask<AuditList>('GET', `/audit?${query}`, as('admin'))).body;
    const first = await page('limit=5');
    const second = await page(`limit=5&cursor=${first.next}`);
    const sequences = [...first.items, ...second.items].map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => b - a));
    expect((await page('tenant=zeta')).items.every(({ tenant }) => tenant === 'zeta')).toBe(true);
    expect((await page('act=rollout&outcome=done')).items).toEqual([]);
    expect((await api.ask('GET', '/audit?cursor=x', as('admin'))).status).toBe(400);
  });
});

/** A request under another host name. @returns its cookie */
async function postAs(name: string, port: number, body: object): Promise<string> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        path: '/api/v1/session',
        method: 'POST',
        headers: { host: name, origin: `https://${name}`, 'content-type': 'application/json' },
      },
      (response) => {
        response.resume();
        resolve(response.headers['set-cookie']?.[0] ?? `${response.statusCode}`);
      },
    );
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });
}
