/** The agent as a process, with real NATS, crun and conmon. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { agentExec, agentLogs, type Digest } from '@plinth/contracts';
import { createInbox, type Msg } from 'nats';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

let bench: AgentBench;
let agent: ChildProcess;
let hostile: Digest;
const ids: string[] = [];

function newConfig(overrides: Record<string, unknown> = {}): Record<string, unknown> & { containerId: string } {
  const config = bench.config(overrides);
  ids.push(config.containerId);
  return config;
}

const alive = (pid: number | undefined): boolean => pid !== undefined && existsSync(`/proc/${pid}/exe`);

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  hostile = await bench.installImage('v2', { hostileDev: true });
  agent = bench.startAgent();
});

afterAll(async () => {
  await bench.close();
  const left = leftovers(bench, ids);
  expect(left).toEqual([]);
});

describe('the life of one container', () => {
  it('is started, used, stopped, started again and removed', async () => {
    const config = newConfig({ software: 'hello', timezone: 'Asia/Tokyo' });
    await bench.publishConfig(config);
    const started = await bench.report(config.containerId, 'started');
    expect(started).toMatchObject({ generation: 1, image: 'debian-12@v1', restarts: 0 });
    expect(alive(started.pid)).toBe(true);

    // A config that is older than the agent's is ignored.
    await bench.publishConfig({ ...config, generation: 2 });
    await bench.publishConfig({ ...config, generation: 1, desired: 'removed' });

    const script =
      'cat /sw/greeting; hostname; echo "$SHOP $PLINTH_CONTAINER_NAME $LANG"; date +%Z; ls -d /data/service; echo kept > /data/file; touch /x 2>/dev/null || echo read-only; cat >&2; exit 3';
    const ran = await bench.exec({
      containerId: config.containerId,
      command: ['/bin/sh', '-c', script],
      stdin: Buffer.from('to stderr').toString('base64'),
    });
    expect(ran).toEqual({
      stdout: 'hello from software\nshop-1\none shop-1 C.UTF-8\nJST\n/data/service\nread-only\n',
      stderr: 'to stderr',
      exit: { ok: true, data: { exitCode: 3 } },
    });

    await bench.publishConfig({ ...config, generation: 3, desired: 'stopped' });
    const stopped = await bench.report(config.containerId, 'stopped', { generation: 3 });
    expect(stopped).toMatchObject({ cause: 'requested', exitCode: 137 });
    expect(alive(started.pid)).toBe(false);

    await bench.publishConfig({ ...config, generation: 4, runGeneration: 4 });
    const again = await bench.report(config.containerId, 'started', { generation: 4 });
    expect(again).toMatchObject({ restarts: 1 });
    expect((await bench.exec({ containerId: config.containerId, command: ['cat', '/data/file'] })).stdout).toBe(
      'kept\n',
    );

    await bench.publishConfig({ ...config, generation: 5, runGeneration: 5 });
    const restarted = await bench.report(config.containerId, 'started', { generation: 5 });
    expect(restarted.pid).not.toBe(again.pid);

    // Data whose names are longer than any call takes.
    const deep = 'chdir "/data"; for (1 .. 30) { mkdir "d" x 200 or die $!; chdir "d" x 200 or die $! }';
    const dug = await bench.exec({ containerId: config.containerId, command: ['perl', '-e', deep] });
    expect(dug).toMatchObject({ stderr: '', exit: { ok: true, data: { exitCode: 0 } } });

    await bench.publishConfig({ ...config, generation: 6, runGeneration: 5, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
    expect(existsSync(join(bench.storage, 'volumes', String(config['dataVolume'])))).toBe(false);
    const sequences = bench.reports
      .filter((report) => report.containerId === config.containerId)
      .map((report) => report.sequence);
    expect(sequences).toEqual(sequences.map((_, index) => (sequences[0] ?? 0) + index));
  });
});

describe('failures', () => {
  it('refuses an image whose statement was signed for another', async () => {
    const image = join(bench.storage, 'images/debian-12/v3');
    const contentDigest = await bench.installImage('v3');
    copyFileSync(join(bench.storage, 'images/debian-12/v1/signature.json'), join(image, 'signature.json'));
    const config = newConfig({ image: 'debian-12@v3', contentDigest, restart: { policy: 'never' } });
    await bench.stopAgent(agent);
    agent = bench.startAgent();
    await bench.publishConfig(config);
    expect(await bench.report(config.containerId, 'failed')).toMatchObject({
      reason: 'image-mismatch',
      message: expect.stringContaining('another'),
    });
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed' });
    await bench.report(config.containerId, 'removed');
  });

  it('starts nothing on an image that is known to be damaged, until it is repaired', async () => {
    const marker = join(bench.storage, 'images/debian-12/v1/damaged.json');
    writeFileSync(marker, '{}');
    const config = newConfig();
    await bench.publishConfig(config);
    const failed = await bench.report(config.containerId, 'failed');
    expect(failed).toMatchObject({ reason: 'image-mismatch', message: expect.stringContaining('being repaired') });
    rmSync(marker);
    await bench.report(config.containerId, 'started');
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed' });
    await bench.report(config.containerId, 'removed');
  });

  it('refuses an image whose /dev leads elsewhere', async () => {
    const config = newConfig({ image: 'debian-12@v2', contentDigest: hostile });
    await bench.publishConfig(config);
    const failed = await bench.report(config.containerId, 'failed');
    expect(failed).toMatchObject({ reason: 'mount-point-not-directory' });
    expect(failed.retryInMs).toBeUndefined();
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
  });

  it.each([
    ['an image that is not there', { image: 'debian-12@v7' }, 'image-missing', true],
    ['another content', { contentDigest: `sha256:${'0'.repeat(64)}` }, 'image-mismatch', true],
    ['software that is not there', { software: 'nothing' }, 'software-missing', true],
    ["the host's network where that is not allowed", { network: 'host' }, 'network-not-allowed', false],
    ["the host's users where that is not allowed", { hostUsers: true }, 'host-users-not-allowed', false],
    ['a command that is not there', { command: ['/no/such/command'] }, 'command-not-found', false],
    ['a storage node that is not mounted', { storageNode: 'sn-9' }, 'data-volume-missing', true],
  ])('answers %s with its reason', async (_what, overrides, reason, retried) => {
    const config = newConfig(overrides);
    await bench.publishConfig(config);
    const failed = await bench.report(config.containerId, 'failed');
    expect(failed).toMatchObject({ reason });
    expect(failed.retryInMs).toBe(retried ? 1_000 : undefined);
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed' });
    await bench.report(config.containerId, 'removed');
  });

  it('reports an invalid config, and goes on', async () => {
    const config = newConfig({ limits: { memoryBytes: 'a lot' } });
    await bench.publishConfig(config);
    expect(await bench.report(config.containerId, 'failed')).toMatchObject({ reason: 'internal-error', generation: 1 });
  });

  it('restarts a killed container by its policy, and gives up after the allowed retries', async () => {
    const config = newConfig({ restart: { policy: 'on-failure', maxRetries: 1 } });
    await bench.publishConfig(config);
    const first = await bench.report(config.containerId, 'started');
    process.kill(first.pid ?? 0, 'SIGKILL');
    expect(await bench.report(config.containerId, 'stopped')).toMatchObject({
      cause: 'exited',
      exitCode: 137,
      retryInMs: 1_000,
    });
    const second = await bench.report(config.containerId, 'started', { after: first.sequence });
    expect(second.restarts).toBe(1);
    process.kill(second.pid ?? 0, 'SIGKILL');
    expect(await bench.report(config.containerId, 'failed')).toMatchObject({ reason: 'crash-loop', exitCode: 137 });
    await bench.publishConfig({ ...config, generation: 2, desired: 'stopped' });
    await bench.report(config.containerId, 'stopped', { generation: 2 });
  });

  it('stops a container that waits for its restart', async () => {
    const config = newConfig({ command: ['/bin/false'] });
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'stopped');
    await bench.publishConfig({ ...config, generation: 2, desired: 'stopped' });
    expect(await bench.report(config.containerId, 'stopped', { generation: 2 })).toMatchObject({
      cause: 'requested',
      exitCode: 1,
    });
  });

  it('waits for the grace of a process that takes its time, and kills one that ignores it', async () => {
    const exiting = newConfig({
      command: ['/bin/sh', '-c', 'trap "exit 7" TERM; : > /data/ready; sleep infinity & wait'],
      stopGraceSeconds: 10,
    });
    const ignoring = newConfig({
      command: ['/bin/sh', '-c', 'trap "" TERM; trap "echo no" INT; : > /data/ready; sleep infinity'],
      stopSignal: 'SIGINT',
      stopGraceSeconds: 1,
    });
    for (const config of [exiting, ignoring]) {
      await bench.publishConfig(config);
      await bench.report(config.containerId, 'started');
      const ready = join(bench.storage, 'volumes', String(config['dataVolume']), 'data/ready');
      await waitFor(() => (existsSync(ready) ? true : undefined), 'its traps');
    }
    for (const config of [exiting, ignoring])
      await bench.publishConfig({ ...config, generation: 2, desired: 'stopped' });
    expect(await bench.report(exiting.containerId, 'stopped')).toMatchObject({ exitCode: 7 });
    expect(await bench.report(ignoring.containerId, 'stopped')).toMatchObject({ exitCode: 137 });
  });
});

describe('logs', () => {
  it('keeps both streams, whole lines, over rotations and restarts', async () => {
    const config = newConfig({
      command: ['/bin/sh', '-c', 'echo first; echo to-stderr >&2; printf "%20000s end\\n" x; sleep infinity'],
    });
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');
    const all = await waitForLogs(config.containerId, 'end');
    expect(all.stdout).toBe(`first\n${'x'.padStart(20_000)} end\n`);
    expect(all.stderr).toBe('to-stderr\n');
    expect((await bench.logs({ containerId: config.containerId, tail: 1 })).stdout).toBe(
      `${'x'.padStart(20_000)} end\n`,
    );
    const log = join(bench.hostDirectory, 'runtime/logs', `${config.containerId}.log`);
    await bench.exec({
      containerId: config.containerId,
      command: ['/bin/sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" y | fold -w 99 > /proc/1/fd/1'],
    });
    await waitFor(() => (existsSync(`${log}.1`) && existsSync(log) ? true : undefined), 'the rotation');
    await bench.exec({ containerId: config.containerId, command: ['/bin/sh', '-c', 'echo after > /proc/1/fd/1'] });
    const later = await waitForLogs(config.containerId, 'after');
    expect(later.stdout.startsWith('first\n')).toBe(true);
    expect(readFileSync(log, 'utf8')).toMatch(/ stdout F after\n$/);
  });

  it('sends no more than its requester takes, and goes on when it does', async () => {
    const config = newConfig({
      command: ['/bin/sh', '-c', 'while head -c 4000 /dev/zero | tr "\\0" y | fold -w 99; do echo; done'],
    });
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');
    const inbox = createInbox();
    const arrived: Msg[] = [];
    const asking = (): Msg[] => arrived.filter(({ reply }) => reply !== undefined && reply !== '');
    const bytes = (): number => arrived.reduce((sum, { data }) => sum + data.length, 0);
    const replies = bench.connection.subscribe(inbox, { callback: (_error, message) => void arrived.push(message) });
    bench.connection.publish(
      agentLogs(bench.host),
      JSON.stringify({ containerId: config.containerId, follow: true, tail: 0 }),
      { reply: inbox },
    );
    // An answer that names what was taken keeps the reader alive, and gets nothing more.
    const answered = new Set<Msg>();
    const answer = (body: string): void => {
      for (const message of asking())
        if (!answered.has(message) && answered.add(message)) message.respond(Buffer.from(body));
    };
    const probes = (): number => arrived.filter(({ data }) => data.length === 0).length;
    await waitFor(() => (answer('0'), bytes() > 512 * 1024 ? true : undefined), 'a full window');
    const [full, before] = [bytes(), probes()];
    await waitFor(() => (answer('0'), probes() >= before + 2 ? true : undefined), 'two probes');
    expect(bytes()).toBe(full);
    expect(full).toBeLessThan(1024 ** 2);
    await waitFor(() => (answer(''), bytes() > 2 * full ? true : undefined), 'more, once it was taken');
    replies.unsubscribe();
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
  });

  async function waitForLogs(containerId: string, text: string): Promise<{ stdout: string; stderr: string }> {
    for (;;) {
      const found = await bench.logs({ containerId });
      if (found.stdout.includes(text)) return found;
    }
  }
});

describe('streams', () => {
  it('ends a command whose requester is gone', async () => {
    const config = newConfig();
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');
    const inbox = createInbox();
    const replies = bench.connection.subscribe(inbox, { max: 1 });
    bench.connection.publish(
      agentExec(bench.host),
      JSON.stringify({ containerId: config.containerId, command: ['/bin/sh', '-c', 'echo here; sleep 1000'] }),
      { reply: inbox },
    );
    for await (const message of replies) expect(Buffer.from(message.data).toString()).toBe('here\n');
    expect(bench.alive(config.containerId).length).toBeGreaterThan(1);
    await waitFor(() => (bench.alive(config.containerId).length === 1 ? true : undefined), 'the end of the command');
  });

  it('follows a log until the container is removed', async () => {
    const config = newConfig({
      command: ['/bin/sh', '-c', 'while sleep 0.1; do echo line; done'],
    });
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');
    let arrived = '';
    const followed = bench.logs(
      { containerId: config.containerId, follow: true, tail: 0 },
      (text) => (arrived += text),
    );
    await waitFor(() => (arrived.split('\n').length > 3 ? true : undefined), 'lines that were written meanwhile');
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true });
    const result = await followed;
    expect(result.exit).toEqual({ ok: true, data: { exitCode: 0 } });
    expect(result.stdout).toMatch(/^(?:line\n){3,}$/);
  });

  it('carries big output in order', async () => {
    const config = newConfig();
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');
    const result = await bench.exec({ containerId: config.containerId, command: ['/usr/bin/seq', '1', '200000'] });
    expect(result.stdout).toBe(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(''));
  });

  it('reports why it can not', async () => {
    const unknown = 'f'.repeat(32);
    expect((await bench.exec({ containerId: unknown, command: ['true'] })).exit).toMatchObject({
      ok: false,
      reason: 'not-running',
    });
    expect((await bench.logs({ containerId: unknown })).exit).toMatchObject({
      ok: false,
      reason: 'container-not-found',
    });
    expect((await bench.exec({ containerId: 'x', command: [] })).exit).toMatchObject({
      ok: false,
      reason: 'invalid-request',
    });
  });
});

describe('the agent itself', () => {
  it('leaves containers running when it is killed, and the next one takes them over', async () => {
    const config = newConfig();
    await bench.publishConfig(config);
    const started = await bench.report(config.containerId, 'started');
    await bench.stopAgent(agent, 'SIGKILL');
    expect(alive(started.pid)).toBe(true);
    agent = bench.startAgent();
    const again = await bench.report(config.containerId, 'started', { after: started.sequence });
    expect(again.pid).toBe(started.pid);
    // The agent may have been killed before its record was written: the next one has the time from the kernel, in ticks
    // of 10 ms, which is the time of the process and not of the end of the start.
    const times = [started.begunAt, again.startedAt, started.startedAt].map((time) => Date.parse(time ?? ''));
    const [begunMs = 0, againMs = 0, startedMs = 0] = times;
    expect(againMs).toBeGreaterThanOrEqual(begunMs - 20);
    expect(againMs).toBeLessThanOrEqual(startedMs);
    process.kill(started.pid ?? 0, 'SIGKILL');
    await bench.report(config.containerId, 'stopped');
    await bench.report(config.containerId, 'started', { after: again.sequence });
  });

  it('reports again what runs when it was killed between the storing of a report and the note of it', async () => {
    const config = newConfig();
    await bench.publishConfig(config);
    const first = await bench.report(config.containerId, 'started');
    await bench.stopAgent(agent, 'SIGKILL');
    await bench.restoreJournalFile(first);
    agent = bench.startAgent();
    const again = await bench.report(config.containerId, 'started', { after: first.sequence });
    expect(again).toMatchObject({ pid: first.pid, after: first.sequence });
    await bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
  });

  it('repairs a start that it was killed in', async () => {
    for (const delayMs of [4, 12, 20, 28, 36, 60]) {
      const config = newConfig();
      await bench.publishConfig(config);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await bench.stopAgent(agent, 'SIGKILL');
      agent = bench.startAgent();
      await bench.report(config.containerId, 'started');
      await waitFor(
        () => (bench.alive(config.containerId).length === 1 ? true : undefined),
        'exactly one first process',
      );
    }
  });

  it('publishes reports from the time when the bus was away', async () => {
    const config = newConfig({ restart: { policy: 'never' } });
    await bench.publishConfig(config);
    const started = await bench.report(config.containerId, 'started');
    await bench.stopNats();
    process.kill(started.pid ?? 0, 'SIGKILL');
    const journal = join(bench.hostDirectory, 'reports');
    await waitFor(
      () => (readdirSync(journal).some((name) => name.startsWith(config.containerId)) ? true : undefined),
      'the report in the journal',
    );
    // The journal outlives the agent too.
    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    const lock = join(bench.hostDirectory, 'lock');
    await waitFor(() => (Number(readFileSync(lock, 'utf8')) === agent.pid ? true : undefined), 'the next agent');
    await bench.startNatsAgain();
    expect(await bench.report(config.containerId, 'failed')).toMatchObject({
      reason: 'exited',
      exitCode: 137,
    });
  });

  it('starts containers again from disk after a reboot, with the bus away', async () => {
    const config = newConfig({ restart: { policy: 'never' } });
    await bench.publishConfig(config);
    const started = await bench.report(config.containerId, 'started');
    await bench.stopAgent(agent, 'SIGKILL');
    // After a reboot there is no process, no runtime state, and another boot id.
    bench.removeAll();
    const record = join(bench.hostDirectory, 'containers', config.containerId, 'record.json');
    writeFileSync(
      record,
      JSON.stringify({ ...(JSON.parse(readFileSync(record, 'utf8')) as object), bootId: 'the boot before' }),
    );
    await bench.stopNats();
    agent = bench.startAgent();
    const bundle = join(bench.hostDirectory, 'runtime/bundles', config.containerId, 'pid');
    await waitFor(() => (existsSync(bundle) ? true : undefined), 'the start without a bus');
    await bench.startNatsAgain();
    const again = await bench.report(config.containerId, 'started', { after: started.sequence });
    expect(alive(again.pid)).toBe(true);
  });

  it('is the only agent on its state directory', async () => {
    const second = bench.startAgent();
    expect(await new Promise((resolve) => second.once('exit', resolve))).toBe(78);
  });

  it('removes unknown containers', async () => {
    const config = newConfig();
    await bench.publishConfig(config);
    const started = await bench.report(config.containerId, 'started');
    await bench.stopAgent(agent);
    execFileSync('rm', ['-r', join(bench.hostDirectory, 'containers', config.containerId)]);
    await bench.deleteConfig(config.containerId);
    agent = bench.startAgent();
    await waitFor(() => (alive(started.pid) ? undefined : true), 'the end of the unknown container');
  });
});
