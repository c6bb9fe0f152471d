import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linkOfProcess } from './kernel-tables.js';
import { clearPostgresLeftovers } from './postgres-leftovers.js';

/** Its working directory has a name of 5,000 bytes. */
const DEEP = `
  const { mkdirSync } = require('node:fs');
  for (let depth = 0; depth < 25; depth++) { mkdirSync('d'.repeat(199)); process.chdir('d'.repeat(199)); }
  console.log('up');
  setInterval(() => {}, 1000);`;
let directory: string;
let deep: ChildProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'plinth-test-'));
});
afterEach(async () => {
  deep?.kill('SIGKILL');
  if (deep?.exitCode === null && deep.signalCode === null) await once(deep, 'exit');
  // Node's own would need the name.
  spawnSync('rm', ['-rf', directory]);
});

it('a process of any container in a directory too deep to be named does not matter', async () => {
  deep = spawn(process.execPath, ['-e', DEEP], { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(deep.stdout!, 'data');
  expect(linkOfProcess(deep.pid ?? -1, 'cwd')).toBe('');
  await clearPostgresLeftovers(join(directory, 'data'));
});
