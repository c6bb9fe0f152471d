/** Names from outside: containers of a tenant call each other by them, on two hosts, and another tenant's do not. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { Stack } from './stack.js';

const stack = new Stack();
const recipe = resolve(import.meta.dirname, '../recipes/debian-12.yaml');
/** Others may have stacks on this machine: their containers share the resolver, and have other tenants. */
const [ACME, OTHER] = [`acme-${process.pid}`, `other-${process.pid}`];

/** Answers every connection with its own name. */
const SERVER = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die;
while (my $c = $s->accept) { print $c "I am $ENV{PLINTH_CONTAINER_NAME}\\n"; close $c }`;

interface Row {
  readonly id: string;
  readonly host: string;
  readonly config: { readonly address: { readonly ipv4: string; readonly ipv6: string } };
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

/** What a container gets from port 80 of a name; empty: nothing. */
async function call(from: Row, name: string): Promise<string> {
  const script = `exec 3<>/dev/tcp/${name}/80 && cat <&3`;
  const ran = await stack.plinth('exec', from.id, '--', '/usr/bin/timeout', '10', '/bin/bash', '-c', script);
  return ran.stdout.trim();
}

async function dig(...args: string[]): Promise<string> {
  return (await promisify(execFile)('dig', ['@169.254.1.1', '+short', ...args])).stdout.trim();
}

beforeAll(async () => {
  await stack.up(2);
});
afterAll(async () => {
  await stack.down();
});

it('needs an image', async () => {
  const built = await stack.plinth('image', 'build', recipe);
  expect(built.stderr).not.toContain('rejected');
  expect((await stack.plinth('image', 'promote', 'debian-12@v1')).code).toBe(0);
  expect((await stack.plinth('image', 'activate', 'debian-12@v1')).code).toBe(0);
});

describe('a container', () => {
  it("calls its tenant's containers by name, on each host; another tenant's does not find them", async () => {
    const rows: Row[] = [];
    // Enough of them that both hosts have some.
    for (let number = 1; number <= 4; number += 1) rows.push(await run(`web-${number}`, ACME));
    const other = await run('db', OTHER);
    const [first] = rows;
    if (!first) throw new Error('no container');
    expect(new Set(rows.map(({ host }) => host)).size).toBe(2);
    for (const [index] of rows.entries()) expect(await call(first, `web-${index + 1}`)).toBe(`I am web-${index + 1}`);
    expect(await call(first, `web-3.${ACME}.plinth.internal`)).toBe('I am web-3');
    expect(await call(other, `web-3.${ACME}.plinth.internal`)).toBe('');
    expect(await call(first, `db.${OTHER}.plinth.internal`)).toBe('');
    // The operator knows both.
    for (const [name, tenant, { config }] of [
      ['web-1', ACME, first],
      ['db', OTHER, other],
    ] as const) {
      expect(await dig(`${name}.${tenant}.plinth.internal`)).toBe(config.address.ipv4);
      expect(await dig('-x', config.address.ipv4)).toBe(`${name}.${tenant}.plinth.internal.`);
    }

    expect((await stack.plinth('stop', 'web-3', '--tenant', ACME)).code).toBe(0);
    expect(await dig(`web-3.${ACME}.plinth.internal`)).toBe('');
    expect((await stack.plinth('start', 'web-3', '--tenant', ACME)).code).toBe(0);
    expect(await dig(`web-3.${ACME}.plinth.internal`)).not.toBe('');
  });
});
