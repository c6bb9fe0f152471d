/**
 * Two machines, each a network namespace with an agent of its own, a tunnel between them: containers of a tenant call
 * each other by name and address, another tenant's do not.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { makeSmallRootfs } from '@plinth/testkit';
import { Machine, openDoor } from './machine.js';
import { INSTALLATION, Stack } from './stack.js';

const stack = new Stack();
/** Others may have stacks on this machine: their containers share the resolver, and have other tenants. */
const [ACME, OTHER] = [`acme-${process.pid}`, `other-${process.pid}`];

/** Answers every connection with its own name. */
const SERVER = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die;
while (my $c = $s->accept) { print $c "I am $ENV{PLINTH_CONTAINER_NAME}\\n"; close $c }`;

/** Those that Debian's perl has without another package. */
const perlModules = (): string[] =>
  execFileSync('perl', ['-e', 'print join "\\n", @INC'], { encoding: 'utf8' })
    .split('\n')
    .filter((directory) => directory.endsWith('/perl-base'));

interface Row {
  readonly id: string;
  readonly host: string;
  readonly config: { readonly name: string; readonly address: { readonly ipv4: string; readonly ipv6: string } };
}

async function run(name: string, tenant: string): Promise<Row> {
  const command = ['--', '/usr/bin/perl', '-e', SERVER];
  const { code, stderr } = await stack.plinth(
    'run',
    '--name',
    name,
    '--tenant',
    tenant,
    '--network',
    'container',
    ...command,
  );
  expect(`${stderr}${code}`).toBe('0');
  return inspect(name, tenant);
}

async function inspect(name: string, tenant: string): Promise<Row> {
  return JSON.parse((await stack.plinth('inspect', name, '--tenant', tenant, '--json')).stdout) as Row;
}

/** What a container gets from port 80 of a name or an address; empty: nothing. */
async function call(from: Row, name: string): Promise<string> {
  const script = `exec 3<>/dev/tcp/${name}/80 && cat <&3`;
  const ran = await stack.plinth('exec', from.id, '--', '/usr/bin/timeout', '5', '/bin/bash', '-c', script);
  return ran.stdout.trim();
}

const dig = (machine: Machine, ...args: string[]): string =>
  machine.run('dig', '@169.254.1.1', '+short', ...args).trim();

/** Its agent's log goes on in the log of the one that `up` started. */
async function startAgent(host: string, machine: Machine, address: string): Promise<void> {
  const service = stack.file().services.find(({ id }) => id === `host-agent-${host}`);
  if (!service?.environment) throw new Error(`no agent of ${host}`);
  await machine.startAgent(INSTALLATION, { ...service.environment, PLINTH_HOST_ADDRESS: address });
}

async function until(what: string, read: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((done) => setTimeout(done, 200)))
    if (await read()) return;
  throw new Error(`not within 120 s: ${what}`);
}

const ADDRESSES = { 'host-1': '192.0.2.1', 'host-2': '192.0.2.2' } as const;
type Host = keyof typeof ADDRESSES;
const machines = {} as Record<Host, Machine>;
const machineOf = ({ host }: Row): Machine => machines[host as Host];
let door: Server | undefined;

beforeAll(async () => {
  await stack.up(2);
  const path = join(stack.home, 'bus.socket');
  const port = Number(new URL(stack.file().natsUrl).port);
  door = await openDoor(path, port);
  machines['host-1'] = await Machine.open();
  machines['host-2'] = await Machine.open();
  machines['host-1'].connect(machines['host-2'], `${ADDRESSES['host-1']}/24`, `${ADDRESSES['host-2']}/24`);
  for (const [host, machine] of Object.entries(machines)) {
    await machine.forward(path, port);
    await stack.end(`host-agent-${host}`);
    await startAgent(host, machine, ADDRESSES[host as Host]);
  }
  await until('both hosts report their addresses', async () => {
    const { stdout } = await stack.plinth('hosts', '--json');
    return Object.values(ADDRESSES).every((address) => stdout.includes(`"${address}"`));
  });
});
afterAll(async () => {
  for (const machine of Object.values(machines)) await machine.close();
  door?.close();
  await stack.down();
});

it('needs an image', async () => {
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'), {
    programs: ['/bin/bash', '/bin/perl', '/bin/timeout'],
    directories: perlModules(),
  });
  const recipe = join(stack.home, 'recipe.yaml');
  writeFileSync(
    recipe,
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: [/bin/sleep, infinity]\n`,
  );
  const built = await stack.plinth('image', 'build', recipe);
  expect(built.stderr).not.toContain('rejected');
  expect((await stack.plinth('image', 'promote', 'tiny@v1')).code).toBe(0);
  expect((await stack.plinth('image', 'activate', 'tiny@v1')).code).toBe(0);
});

describe('a container', () => {
  const rows: Row[] = [];
  let other: Row;

  it("calls its tenant's containers by name and address, on each host; another tenant's does not", async () => {
    // Enough of them that both hosts have some.
    for (let number = 1; number <= 4; number += 1) rows.push(await run(`web-${number}`, ACME));
    other = await run('db', OTHER);
    const [first] = rows;
    if (!first) throw new Error('no container');
    expect(new Set(rows.map(({ host }) => host)).size).toBe(2);
    for (const [index, { config }] of rows.entries()) {
      // Of a container on another host it knows within a second of its start.
      await until(`web-${index + 1} answers`, async () => (await call(first, `web-${index + 1}`)) !== '');
      expect(await call(first, `web-${index + 1}`)).toBe(`I am web-${index + 1}`);
      expect(await call(first, config.address.ipv4)).toBe(`I am web-${index + 1}`);
    }
    expect(await call(first, `web-3.${ACME}.plinth.internal`)).toBe('I am web-3');
    for (const { config } of rows) expect(await call(other, config.address.ipv4)).toBe('');
    expect(await call(other, `web-3.${ACME}.plinth.internal`)).toBe('');
    expect(await call(first, `db.${OTHER}.plinth.internal`)).toBe('');
    expect(await call(first, other.config.address.ipv4)).toBe('');
    // Operators of a host that serves the tenant know its names.
    for (const [name, tenant, row] of [
      ['web-1', ACME, first],
      ['db', OTHER, other],
    ] as const) {
      expect(dig(machineOf(row), `${name}.${tenant}.plinth.internal`)).toBe(row.config.address.ipv4);
      expect(dig(machineOf(row), '-x', row.config.address.ipv4)).toBe(`${name}.${tenant}.plinth.internal.`);
    }
  });

  it('has no name on either host while it is stopped', async () => {
    const name = `web-3.${ACME}.plinth.internal`;
    expect((await stack.plinth('stop', 'web-3', '--tenant', ACME)).code).toBe(0);
    for (const machine of Object.values(machines)) await until('the name is gone', () => dig(machine, name) === '');
    expect((await stack.plinth('start', 'web-3', '--tenant', ACME)).code).toBe(0);
    for (const machine of Object.values(machines)) await until('the name is back', () => dig(machine, name) !== '');
  });

  it('is reached while the agents are dead, and when they are back', async () => {
    const [first] = rows;
    const far = rows.find(({ host }) => host !== first?.host);
    if (!first || !far) throw new Error('no container');
    const send = (): string => {
      const script = `exec 3<>/dev/tcp/${far.config.address.ipv4}/80 && cat <&3`;
      return machineOf(far).run('timeout', '5', 'bash', '-c', script).trim();
    };
    await machineOf(far).killAgent();
    expect(send()).toBe(`I am ${far.config.name}`);
    expect(await call(first, far.config.address.ipv4)).toBe(`I am ${far.config.name}`);
    await startAgent(far.host, machineOf(far), ADDRESSES[far.host as Host]);
    expect(await call(first, far.config.address.ipv4)).toBe(`I am ${far.config.name}`);
  });

  it('keeps its address and its name when its host is drained', async () => {
    const [first] = rows;
    const far = rows.find(({ host }) => host !== first?.host);
    if (!first || !far) throw new Error('no container');
    expect((await stack.plinth('host', 'drain', far.host)).code).toBe(0);
    const moved = await inspect(far.config.name, ACME);
    expect(moved).toMatchObject({ host: first.host, config: { address: far.config.address } });
    await until(
      'it answers by its name',
      async () => (await call(first, far.config.name)) === `I am ${far.config.name}`,
    );
    expect(await call(first, far.config.address.ipv4)).toBe(`I am ${far.config.name}`);
    expect(await call(other, far.config.address.ipv4)).toBe('');
  });
});
