/** Machines of a lab on the real kernel: what separates them, each fault, and that nothing is left. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { scratchDirectory } from '@plinth/testkit';
import { Lab, leftOf, removeRest } from './lab.js';
import { readLabFile } from './lab-file.js';

const scratch = scratchDirectory();
const directory = join(scratch.path, 'lab');
const wanted = ['a', 'b', 'c'].map((name) => ({ name, datacenter: name === 'c' ? 'dc-2' : 'dc-1' }));
let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start({ directory, machines: wanted, life: 'bound' });
});
afterAll(async () => {
  await lab.down();
  expect(leftOf(directory)).toEqual([]);
  scratch.stop();
});

const run = (machine: string, ...argv: string[]): Promise<string> => lab.machine(machine).mustRun(argv);

it('separates processes, files, names, networks and cgroups', async () => {
  expect(await run('a', 'hostname')).toBe('a\n');
  expect((await run('a', 'ps', '-eo', 'comm=')).trim().split(/\s+/).toSorted()).toEqual(['ps', 'sleep']);
  expect(await run('a', 'cat', '/proc/self/cgroup')).toMatch(/^\d+:freezer:\/$/m);
  for (const file of ['/root/of-a', '/tmp/of-a', '/run/of-a', '/dev/shm/of-a', '/var/lib/plinth/of-a']) {
    await run('a', 'touch', file);
    expect(existsSync(file)).toBe(false);
    expect((await lab.machine('b').run(['test', '-e', file])).code).toBe(1);
  }
  expect(await run('a', 'getent', 'hosts', 'c')).toMatch(/^198\.18\.2\.3 /);
  expect(await lab.machine('a').run(['sh', '-c', 'cat; exit 7'], { input: 'text' })).toEqual({
    code: 7,
    stdout: 'text',
    stderr: '',
  });
});

describe('the network', () => {
  /** Prints each datagram that arrives. */
  const RECEIVE = `use IO::Socket::INET; $| = 1; my $s = IO::Socket::INET->new(LocalPort => 7000, Proto => "udp") or die;
print "ready\\n"; while (defined $s->recv(my $text, 99)) { print "$text\\n" }`;
  const SEND = `use IO::Socket::INET; my ($to, $text) = @ARGV;
IO::Socket::INET->new(PeerAddr => $to, PeerPort => 7000, Proto => "udp")->send($text) or die;`;
  const receivers: ChildProcess[] = [];
  const received: Record<string, string[]> = {};

  beforeAll(async () => {
    for (const { name } of wanted) {
      const receiver = lab.machine(name).spawn(['perl', '-e', RECEIVE], { stdio: ['ignore', 'pipe', 'inherit'] });
      receivers.push(receiver);
      const lines: string[] = (received[name] = []);
      if (!receiver.stdout) throw new Error('no pipe');
      createInterface({ input: receiver.stdout }).on('line', (text) => lines.push(text));
      await seen(name, 'ready');
    }
  });
  afterAll(() => {
    for (const receiver of receivers) receiver.kill('SIGKILL');
  });

  async function seen(machine: string, text: string): Promise<void> {
    for (const end = Date.now() + 60_000; !received[machine]?.includes(text); await pause(10))
      if (Date.now() > end) throw new Error(`${machine} did not receive ${text}: ${received[machine]?.join(' ')}`);
  }

  let number = 0;
  /** Which of the pairs pass one datagram; what was sent before arrives before. */
  async function passing(pairs: readonly string[]): Promise<string[]> {
    number += 1;
    for (const pair of pairs) await send(pair, `${pair} ${number}`);
    const faults = [...lab.faults];
    await lab.heal();
    for (const pair of pairs) {
      await send(pair, `${pair} ${number} healed`);
      await seen(pair.at(-1) ?? '', `${pair} ${number} healed`);
    }
    expect(faults).not.toEqual([]);
    return pairs.filter((pair) => received[pair.at(-1) ?? '']?.includes(`${pair} ${number}`));
  }
  const send = async (pair: string, text: string): Promise<void> => {
    // A packet to a machine that does not answer who has the address is dropped by the sender.
    await lab.machine(pair[0] ?? '').run(['perl', '-e', SEND, lab.machine(pair.at(-1) ?? '').address, text]);
  };

  it.each<[string, () => Promise<void>, string[]]>([
    ['a from b', () => lab.cut('a', 'b'), ['a>c', 'c>a', 'b>c']],
    ['what a sends to b', () => lab.cut('a', 'b', { oneWay: true }), ['b>a', 'a>c', 'c>a', 'b>c']],
    ['a data centre', () => lab.cut('dc-2'), ['a>b', 'b>a']],
  ])('is cut: %s', async (_what, cut, passes) => {
    // Neighbours are known: one direction alone has to suffice.
    await passingBefore();
    await cut();
    expect((await passing(['a>b', 'b>a', 'a>c', 'c>a', 'b>c'])).toSorted()).toEqual(passes.toSorted());
  });

  async function passingBefore(): Promise<void> {
    for (const pair of ['a>b', 'b>a', 'a>c', 'c>a', 'b>c']) {
      await send(pair, `${pair} before`);
      await seen(pair.at(-1) ?? '', `${pair} before`);
    }
  }

  it('loses packets and has a limited rate', async () => {
    await lab.slow('a', 'b', { lossPercent: 99, kibibytesPerSecond: 1 });
    const sent = Array.from({ length: 40 }, (_, index) => `lossy ${index}`);
    for (const text of sent) await send('a>b', text);
    await lab.heal();
    await send('a>b', 'whole');
    await seen('b', 'whole');
    expect(sent.filter((text) => received['b']?.includes(text)).length).toBeLessThan(20);
  });
});

it('freezes a machine: what is asked of it is done after it was thawed', async () => {
  await lab.freeze('b');
  expect(lab.machine('b').state).toBe('frozen');
  let done = false;
  const command = lab
    .machine('b')
    .mustRun(['hostname'])
    .finally(() => (done = true));
  await run('a', 'hostname');
  expect(done).toBe(false);
  await lab.thaw('b');
  expect(await command).toBe('b\n');
});

it.each(['running', 'frozen'] as const)('cuts the power of a %s machine: all ends, its disk stays', async (state) => {
  const machine = lab.machine('b');
  await machine.mustRun(['sh', '-c', 'echo kept >/root/file; mkdir -p /sys/fs/cgroup/cpu/group']);
  // One that has left its session and its parent, as a container's monitor does.
  const worker = machine.spawn(['setsid', 'sh', '-c', 'echo started; exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  if (!worker.stdout) throw new Error('no pipe');
  await once(createInterface({ input: worker.stdout }), 'line');
  if (state === 'frozen') await lab.freeze('b');
  const ended = once(worker, 'exit');
  await lab.powerCut('b');
  await ended;
  expect(machine.state).toBe('off');
  await expect(machine.run(['true'])).rejects.toThrow('b has no power');
  await lab.powerOn('b');
  expect(await run('b', 'cat', '/root/file')).toBe('kept\n');
  expect((await machine.run(['test', '-e', '/sys/fs/cgroup/cpu/group'])).code).toBe(1);
  expect((await lab.machine('a').run(['test', '-e', '/root/file'])).code).toBe(1);
});

it('has one lab in a directory', async () => {
  await expect(Lab.start({ directory, machines: wanted, life: 'bound' })).rejects.toThrow('a lab runs in');
});

describe('leaves nothing', () => {
  const other = join(scratch.path, 'other');

  it('when its own first process is killed, after down', async () => {
    const killed = await Lab.start({ directory: other, machines: wanted, life: 'background' });
    const first = killed.machine('a').first.pid;
    await killed.freeze('c');
    process.kill(readLabFile(other)?.first?.pid ?? 0, 'SIGKILL');
    await killed.down();
    expect(leftOf(other)).toEqual([]);
    expect(existsSync(`/proc/${first}`)).toBe(false);
  });

  it('when the process that started it is killed, after down by another', async () => {
    const program = `import { Lab } from ${JSON.stringify(join(import.meta.dirname, '../dist/index.js'))};
const lab = await Lab.start({ directory: process.argv[1], machines: [{ name: 'a', datacenter: 'dc-1' }], life: 'bound' });
console.log(lab.machine('a').first.pid); setInterval(() => undefined, 60000);`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', program, other], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string];
    expect(existsSync(`/proc/${line}`)).toBe(true);
    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await removeRest(other);
    expect(leftOf(other)).toEqual([]);
    expect(existsSync(`/proc/${line}`)).toBe(false);
  });
});
