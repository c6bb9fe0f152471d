/**
 * A system container as an operator gets one: from the recipe to a login over SSH inside it, and a clean halt. Of
 * Debian 12, or of the release that PLINTH_TEST_DEBIAN names.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { Stack } from './stack.js';

const stack = new Stack();
const base = `debian-${process.env['PLINTH_TEST_DEBIAN'] ?? '12'}`;
const system = `${base}-system`;
const recipe = (name: string): string => resolve(import.meta.dirname, `../recipes/${name}.yaml`);
const good = (ran: { code: number; stdout: string; stderr: string }): string => {
  if (ran.code !== 0) throw new Error(`it ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return ran.stdout;
};

/** The first line that a server sends. */
const banner = (host: string, port: number): Promise<string> =>
  new Promise((done, fail) => {
    const socket = connect({ host, port, timeout: 60_000 }, () => undefined);
    socket.once('data', (data: Buffer) => done((socket.destroy(), data.toString().split('\r\n')[0] ?? '')));
    socket.once('timeout', () => socket.destroy(new Error(`${host} ${port}: silent for 60 s`)));
    socket.once('error', fail);
  });
/** Both families; published ports are not on the loopback, and a link-local address names no interface. */
const ofThisHost = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));

beforeAll(async () => {
  await stack.up();
  // Its tests boot it: the image comes up to running, with its services, before it is one.
  for (const name of [base, system]) {
    good(await stack.plinth('image', 'build', recipe(name)));
    good(await stack.plinth('image', 'promote', `${name}@v1`));
  }
});

afterAll(async () => {
  await stack.down();
});

/** systemd answers a little after its first process runs. @returns the state that it comes up to */
async function comesUp(): Promise<string> {
  const wait = 'until busctl status org.freedesktop.systemd1 > /dev/null 2>&1; do sleep 0.1; done';
  const script = `${wait}; systemctl is-system-running --wait`;
  return (await stack.plinth('exec', 'system-1', '--', 'sh', '-c', script)).stdout.trim();
}

describe(`a container of ${system}`, () => {
  it('comes up to running, and its root is nobody on the host', async () => {
    good(await stack.plinth('run', `${system}@v1`, '--name', 'system-1', '--memory', '256M', '--publish', '22'));
    expect(await comesUp()).toBe('running');
    const active = await stack.plinth('exec', 'system-1', '--', 'systemctl', 'is-active', 'cron', 'ssh');
    expect(active.stdout).toBe('active\nactive\n');
    const { pid } = JSON.parse(good(await stack.plinth('inspect', 'system-1', '--json'))) as { pid: number };
    const [, uid] = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    expect(Number(uid)).toBeGreaterThanOrEqual(524_288);
  });

  it('takes a login by key: at its address, by its name and at the published port, also after a restart', async () => {
    const { address, ports } = JSON.parse(good(await stack.plinth('inspect', 'system-1', '--json'))) as {
      address: { ipv4: string; ipv6: string };
      ports: readonly { hostPort: number }[];
    };
    const published = ports[0]?.hostPort ?? 0;
    const places: [string, number][] = [
      [address.ipv4, 22],
      [address.ipv6, 22],
      ...ofThisHost.map(({ address: own }): [string, number] => [own, published]),
    ];
    for (const [host, port] of places) expect(await banner(host, port)).toMatch(/^SSH-2\.0-OpenSSH/);

    const script = (text: string): Promise<string> =>
      stack.plinth('exec', 'system-1', '--', 'sh', '-ec', text).then(good);
    const keys = '/data/ssh/authorized_keys';
    await script(`mkdir ${keys}; ssh-keygen -q -t ed25519 -N "" -f /data/key; cp /data/key.pub ${keys}/root`);
    // The client that has the key is one inside: this machine may have none.
    const logins = [['22', 'system-1'], ...places.map(([host, port]) => [String(port), host])].map(
      ([port, host]) =>
        `ssh -i /data/key -o BatchMode=yes -o StrictHostKeyChecking=no -p ${port} root@${host} systemctl is-active ssh`,
    );
    expect(await script(logins.join('\n'))).toBe('active\n'.repeat(logins.length));
    good(await stack.plinth('restart', 'system-1'));
    expect(await comesUp()).toBe('running');
    expect(await script(logins.join('\n'))).toBe('active\n'.repeat(logins.length));
  });

  it('runs what cron is asked to', async () => {
    const wait = 'timeout 240 sh -c "until [ -e /data/cron-ran ]; do sleep 1; done"';
    good(
      await stack.plinth(
        'exec',
        'system-1',
        '--',
        'sh',
        '-ec',
        `echo "* * * * * root touch /data/cron-ran" > /etc/cron.d/test; ${wait}`,
      ),
    );
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
