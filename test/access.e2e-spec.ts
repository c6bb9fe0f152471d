/**
 * A new stack has access control on: no client connects without a key, no secret is readable, and a host can join
 * later.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { loginOptions } from '@plinth/service-kit/messaging';
import { connect } from 'nats';
import { Stack } from './stack.js';

const stack = new Stack();
beforeAll(() => stack.up(1));
afterAll(() => stack.down());

const seeds = (): string => join(stack.home, 'access/seeds');
const secrets = (): string[] => readdirSync(seeds()).map((file) => readFileSync(join(seeds(), file), 'utf8').trim());

it('refuses a client without a key, and the tool finds the operator’s key', async () => {
  await expect(connect({ servers: stack.file().natsUrl, reconnect: false })).rejects.toThrow('Authorization');
  expect((await stack.plinth('hosts')).code).toBe(0);
});

it('has a key for each user, readable by its owner only', () => {
  const files = readdirSync(seeds());
  expect(files.sort()).toEqual([
    'acts-admin.nk',
    'acts-developer.nk',
    'acts-operator.nk',
    'console-1.nk',
    'download.token',
    'host-host-1.nk',
    'image-builder.nk',
    'operator.nk',
    'provisioner.nk',
    'storage-sn-1.nk',
    'storage-sn-2.nk',
    'upstream.nk',
  ]);
  expect(statSync(seeds()).mode & 0o777).toBe(0o700);
  for (const file of files) expect(statSync(join(seeds(), file)).mode & 0o777).toBe(0o600);
});

it('lets a host join later while the others go on', async () => {
  await stack.up(2);
  const ran = await stack.plinth('hosts', '--json');
  expect(
    (JSON.parse(ran.stdout) as { host: string; state: string }[]).map(({ host, state }) => `${host} ${state}`),
  ).toEqual(['host-1 ready', 'host-2 ready']);
});

it('answers an upstream system that logs in with its own key, and lets it do nothing else', async () => {
  const connection = await connect({
    servers: stack.file().natsUrl,
    ...loginOptions({ nkeyFile: join(seeds(), 'upstream.nk') }),
  });
  const forbidden = [
    'image.promoted',
    'container.started',
    'report.host.host-1.container.x',
    '$JS.API.STREAM.DELETE.PLINTH_EVENTS',
  ];
  const refusals = (async () => {
    const subjects: string[] = [];
    for await (const status of connection.status()) {
      if (status.permissionContext) subjects.push(status.permissionContext.subject);
      if (subjects.length === forbidden.length) break;
    }
    return subjects;
  })();
  const rejected = connection.subscribe('container.rejected', { max: 1 });
  await connection.flush();
  await connection
    .jetstream()
    .publish('container.requested', '{"name":"no-image-yet","image":"none@v1","strict":true}', {
      msgID: 'e2e-upstream',
    });
  for await (const message of rejected) expect(message.json()).toMatchObject({ name: 'no-image-yet' });
  for (const subject of forbidden) connection.publish(subject, '{}');
  expect(await refusals).toEqual(forbidden);
  await connection.close();
});

it('shows no key in a log, in the stack’s file, on a command line or in an environment', () => {
  const texts = [
    readFileSync(join(stack.home, 'stack.json'), 'utf8'),
    readFileSync(join(stack.home, 'access/server/nats-access.conf'), 'utf8'),
  ];
  for (const file of readdirSync(join(stack.home, 'logs')))
    texts.push(readFileSync(join(stack.home, 'logs', file), 'utf8'));
  texts.push(readFileSync(join(stack.home, 'nats/nats.log'), 'utf8'));
  for (const { pid } of stack.file().services) {
    for (const file of ['cmdline', 'environ'])
      if (existsSync(`/proc/${pid}/${file}`)) texts.push(readFileSync(`/proc/${pid}/${file}`, 'utf8'));
  }
  const found = secrets().filter((secret) => texts.some((text) => text.includes(secret)));
  expect(secrets().length).toBeGreaterThan(7);
  expect(found).toEqual([]);
});
