import { closeSync, openSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from '@jest/globals';
import { lightSpawn, SpawnError } from './light-spawn.js';

/** What a shell script writes to descriptor 3, and to standard error. */
async function sh(script: string): Promise<readonly [third: string, stderr: string]> {
  const { third, stderr } = lightSpawn({ file: '/bin/sh', argv: ['-c', script], env: { GREETING: 'hello' } });
  const [written, errors] = await Promise.all(
    [third, stderr].map((fd) => text(new Socket({ fd, readable: true, writable: false }))),
  );
  return [written ?? '', errors ?? ''];
}

/** Children of ours that have ended and were not waited for. */
function zombies(): readonly string[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return children.filter((pid) => {
    try {
      return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch (error) {
      // It was reaped during the check.
      if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  });
}

describe('lightSpawn', () => {
  it('gives the program its environment, its descriptors, and nothing of ours', async () => {
    process.env['PLINTH_CANARY'] = 'secret';
    const ours = openSync('/etc/hostname', 'r');
    const [third, stderr] = await sh('env >&3; pwd >&3; seen=$(ls -l /proc/$$/fd); echo "$seen" >&3; echo oh >&2');
    closeSync(ours);
    delete process.env['PLINTH_CANARY'];
    expect(stderr).toBe('oh\n');
    expect(third).toMatch(/^(?:GREETING=hello\n|PWD=\/\n){2}\/\n/);
    expect(third).toMatch(/ 0 -> \/dev\/null\n[^]* 1 -> \/dev\/null\n/);
    expect(third).not.toContain('/etc/hostname');
  });

  it('starts it with every signal at its default', async () => {
    // Node ignores SIGPIPE; a container would inherit that.
    // The shell blocks signals while it starts a program, so it can't check its own.
    const [status] = await sh('exec grep -E "^Sig(Blk|Ign):" /proc/self/status >&3');
    expect(status).toBe('SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
  });

  it('reaps it', async () => {
    await sh('exit 3');
    while (zombies().length > 0) await delay(1);
  });

  it('reports what is wrong with a program that does not exist, and keeps no descriptor', () => {
    for (let round = 0; round < 2000; round += 1) {
      expect(() => lightSpawn({ file: '/nosuch', argv: [], env: {} })).toThrow(SpawnError);
    }
  });
});
