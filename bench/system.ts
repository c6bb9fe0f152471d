/** A stack of its own for a measurement: it is started, given an image, used, and removed. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connectPlinth } from '@plinth/client';
import type { NatsConnection } from 'nats';
import { inGroup, moveToGroup, pidsOfGroup, processorMsOf, removeGroup } from './processor-time.js';

const top = resolve(import.meta.dirname, '../..');
const ANSWER_MS = 120_000;

export interface BenchSystem {
  readonly connection: NatsConnection;
  readonly home: string;
  /** The OS tree of the image that the containers run on. */
  readonly imageRoot: string;
  /** Publishes a request; resolves when its `container.started` has arrived. Milliseconds from publish to fact. */
  start(body: object): Promise<{
    readonly ms: number;
    readonly id: string;
    readonly pid: number;
    readonly name: string;
    /** Milliseconds of each phase, as `container.started` has them. */
    readonly phases: Readonly<Record<string, number>>;
  }>;
  remove(...names: string[]): void;
  /** Processor time so far without that of the containers' own groups, ms; of the agents with what they start, and of all. */
  processorMs(): { readonly hosts: number; readonly all: number };
  /** Standard output. @throws Error when it ends with another code than 0 */
  plinth(...args: string[]): string;
  /** Standard output and error, for any exit code. */
  tryPlinth(...args: string[]): string;
  close(): Promise<void>;
}

export async function startSystem(): Promise<BenchSystem> {
  const home = mkdtempSync(join(tmpdir(), 'plinth-bench-'));
  chmodSync(home, 0o711);
  const group = `/bench-stack-${process.pid}`;
  const program = [process.execPath, join(top, 'apps/cli/dist/main.js')];
  const ran = (args: readonly string[], more: readonly string[] = program) => {
    const [file = '', ...first] = more;
    return spawnSync(file, [...first, ...args], {
      env: { ...process.env, PLINTH_HOME: home },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 ** 2,
    });
  };
  const down = (): void => {
    ran(['down', '--data']);
    removeGroup(group);
  };
  const plinth = (...args: string[]): string => {
    const { status, stdout, stderr } = ran(args);
    if (status !== 0) throw new Error(`plinth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  // A measurement that is interrupted removes its stack.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      down();
      process.exit(1);
    });
  }
  try {
    const { status, stderr } = ran(['up', '--detach', '--storage-nodes', '1'], inGroup(group, program));
    if (status !== 0) throw new Error(`plinth up: ${stderr}`);
    const agents = pidsOfGroup(group).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('apps/host-agent/dist/'),
    );
    moveToGroup(`${group}/hosts`, agents);
    plinth('image', 'build', join(top, 'recipes/debian-12.yaml'));
    plinth('image', 'promote', 'debian-12@v1');
    plinth('image', 'activate', 'debian-12@v1');
  } catch (error) {
    down();
    throw error;
  }
  const { natsUrl, nkeyFile } = JSON.parse(readFileSync(join(home, 'stack.json'), 'utf8')) as {
    natsUrl: string;
    nkeyFile: string;
  };
  const client = await connectPlinth({ natsUrl, credentials: { nkeyFile } });
  const { connection } = client;
  const jetstream = connection.jetstream();
  // Opened once: a measured start contains no subscription.
  const facts = await client.facts(['container.started', 'container.failed', 'container.rejected']);
  let counter = 0;
  return {
    connection,
    home,
    imageRoot: join(home, 'storage/sn-1/images/debian-12/v1/root'),
    plinth,
    tryPlinth: (...args) => {
      const { stdout, stderr } = ran(args);
      return `${stdout}${stderr}`;
    },
    async start(body) {
      const name = `bench-${counter++}`;
      const begin = performance.now();
      await jetstream.publish('container.requested', JSON.stringify({ ...body, name }));
      const { data } = await facts.first((fact) => fact.data.name === name, ANSWER_MS);
      const ms = performance.now() - begin;
      if (typeof data.pid !== 'number') throw new Error(`not started: ${JSON.stringify(data)}`);
      const phases = data.phases as Record<string, number>;
      return { ms, id: String(data.containerId), pid: data.pid, name, phases };
    },
    remove: (...names) => void plinth('rm', ...names),
    processorMs: () => ({ hosts: processorMsOf(`${group}/hosts`), all: processorMsOf(group) }),
    async close() {
      facts.close();
      await client.close();
      plinth('down', '--data');
      removeGroup(group);
    },
  };
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function row(...cells: readonly (string | number)[]): void {
  console.log(
    cells
      .map((cell, index) => (typeof cell === 'number' ? cell.toFixed(2) : cell).padEnd(index === 0 ? 52 : 12))
      .join(' '),
  );
}
