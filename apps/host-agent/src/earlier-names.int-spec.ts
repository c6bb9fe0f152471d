/** Names of networks that a host had before: files and processes as agents and resolvers leave them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type ScratchDirectory, scratchDirectory } from '@plinth/testkit';
import { removeEarlierNames } from './adapters/earlier-names.js';

let scratch: ScratchDirectory;
let base: string;
let resolver: ChildProcess | undefined;

function directory(name: string, ...files: string[]): string {
  const path = join(base, name);
  mkdirSync(path);
  for (const file of files) writeFileSync(join(path, file), '');
  return path;
}

beforeEach(() => {
  scratch = scratchDirectory('plinth-earlier-names-');
  base = scratch.path;
});
afterEach(() => {
  resolver?.kill('SIGKILL');
  scratch.stop();
});

const remove = (): boolean => removeEarlierNames({ base, present: '9', instance: 'aa' });

it('are removed with their directories, those of the present network and of other agents are not', () => {
  directory('1');
  directory('2', 'aa.zone', 'resolver.log', 'resolver.pid');
  directory('3', 'aa.zone', 'bb.zone', 'resolver.pid');
  directory('9', 'aa.zone');
  directory('other');
  expect(remove()).toBe(false);
  expect(readdirSync(base)).toEqual(['3', '9', 'other']);
  expect(readdirSync(join(base, '3'))).toEqual(['bb.zone', 'resolver.pid']);
  expect(readdirSync(join(base, '9'))).toEqual(['aa.zone']);
});

it('stay as long as a resolver runs there, which ends without names', async () => {
  const path = directory('1', 'aa.zone', 'resolver.log');
  resolver = spawn('sh', ['-c', 'read line', path], { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(resolver, 'spawn');
  writeFileSync(join(path, 'resolver.pid'), String(resolver.pid));
  expect(remove()).toBe(true);
  expect(readdirSync(path)).toEqual(['resolver.log', 'resolver.pid']);
  const ended = once(resolver, 'exit');
  resolver.stdin?.end();
  await ended;
  expect(remove()).toBe(false);
  expect(readdirSync(base)).toEqual([]);
});

it('may be gone as a whole', () =>
  expect(removeEarlierNames({ base: join(base, 'no'), present: '9', instance: 'aa' })).toBe(false));
