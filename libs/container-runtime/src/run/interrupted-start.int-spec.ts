/** Needs root: a process that can't end is one that the freezer of version 1 holds. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { endStart } from './interrupted-start.js';

const FREEZER = `/sys/fs/cgroup/freezer/plinth-frozen.spec-${process.pid}`;
/** Longer than a process takes to end on a quiet machine. */
const HELD_MS = 700;

it('the rest of a start is waited for when it ends late', async () => {
  if (!existsSync('/sys/fs/cgroup/freezer')) throw new Error('this test needs the freezer of cgroups of version 1');
  const directory = mkdtempSync(join(tmpdir(), 'plinth-starter-'));
  const id = 'f'.repeat(32);
  const conmon = join(directory, 'conmon');
  copyFileSync('/usr/bin/perl', conmon);
  const starter = spawn(conmon, ['-e', 'sleep 600', id, '/run/plinth/0123456789ab/x'], { stdio: 'ignore' });
  await once(starter, 'spawn');
  const ended = once(starter, 'exit');
  mkdirSync(FREEZER);
  try {
    writeFileSync(`${FREEZER}/cgroup.procs`, String(starter.pid));
    writeFileSync(`${FREEZER}/freezer.state`, 'FROZEN');
    const thaw = setTimeout(() => writeFileSync(`${FREEZER}/freezer.state`, 'THAWED'), HELD_MS);
    await endStart('0123456789ab', id).finally(() => {
      clearTimeout(thaw);
      writeFileSync(`${FREEZER}/freezer.state`, 'THAWED');
    });
    expect((await ended)[1]).toBe('SIGKILL');
  } finally {
    starter.kill('SIGKILL');
    await ended;
    rmdirSync(FREEZER);
    rmSync(directory, { recursive: true });
  }
});
