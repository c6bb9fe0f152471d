/** A system container as an operator gets one: from the recipe to a login over SSH inside it, and a clean halt. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Stack } from './stack.js';

const stack = new Stack();
const recipe = (name: string): string => resolve(import.meta.dirname, `../recipes/${name}.yaml`);
const good = (ran: { code: number; stdout: string; stderr: string }): string => {
  if (ran.code !== 0) throw new Error(`it ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return ran.stdout;
};

beforeAll(async () => {
  await stack.up();
  // Its tests boot it: the image comes up to running, with its services, before it is one.
  for (const name of ['debian-12', 'debian-12-system']) {
    good(await stack.plinth('image', 'build', recipe(name)));
    good(await stack.plinth('image', 'promote', `${name}@v1`));
  }
});

afterAll(async () => {
  await stack.down();
});

describe('a container of debian-12-system', () => {
  it('comes up to running, and its root is nobody on the host', async () => {
    good(await stack.plinth('run', 'debian-12-system@v1', '--name', 'system-1', '--memory', '256M'));
    const running = await stack.plinth('exec', 'system-1', '--', 'systemctl', 'is-system-running', '--wait');
    expect(running.stdout.trim()).toBe('running');
    const active = await stack.plinth('exec', 'system-1', '--', 'systemctl', 'is-active', 'cron', 'ssh');
    expect(active.stdout).toBe('active\nactive\n');
    const { pid } = JSON.parse(good(await stack.plinth('inspect', 'system-1', '--json'))) as { pid: number };
    const [, uid] = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    expect(Number(uid)).toBeGreaterThanOrEqual(524_288);
  });

  it('keeps its host keys and machine id over a restart, and halts when it is stopped', async () => {
    const identity = async (): Promise<string> =>
      good(
        await stack.plinth('exec', 'system-1', '--', 'sh', '-c', 'cat /etc/machine-id /data/ssh/etc/ssh/*ed25519*.pub'),
      );
    const before = await identity();
    expect(before).toMatch(/^[0-9a-f]{32}\nssh-ed25519 /);
    good(await stack.plinth('restart', 'system-1'));
    expect(await identity()).toBe(before);
    const { pid } = JSON.parse(good(await stack.plinth('inspect', 'system-1', '--json'))) as { pid: number };
    good(await stack.plinth('stop', 'system-1'));
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    // It halted by itself: it was not killed after the grace.
    const stopped = JSON.parse(good(await stack.plinth('inspect', 'system-1', '--json'))) as {
      exitCode: number | null;
    };
    expect(stopped.exitCode).not.toBe(137);
  });
});
