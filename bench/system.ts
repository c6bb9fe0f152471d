/** A stack of its own for a measurement: started, given an image, used, and taken away. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect, type NatsConnection, nkeyAuthenticator } from 'nats';

const top = resolve(import.meta.dirname, '../..');

export interface BenchSystem {
  readonly connection: NatsConnection;
  readonly home: string;
  /** The OS tree of the image that the containers stand on. */
  readonly imageRoot: string;
  /** Publishes a request; resolves when its `container.started` has arrived. Milliseconds from publish to fact. */
  start(
    body: object,
  ): Promise<{ readonly ms: number; readonly id: string; readonly pid: number; readonly name: string }>;
  remove(name: string): void;
  /** Standard output. @throws Error when it ends with another code than 0 */
  plinth(...args: string[]): string;
  /** Standard output and error, whatever the exit code. */
  tryPlinth(...args: string[]): string;
  close(): Promise<void>;
}

export async function startSystem(): Promise<BenchSystem> {
  const home = mkdtempSync(join(tmpdir(), 'plinth-bench-'));
  chmodSync(home, 0o711);
  const ran = (args: readonly string[]) =>
    spawnSync(process.execPath, [join(top, 'apps/cli/dist/main.js'), ...args], {
      env: { ...process.env, PLINTH_HOME: home },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 ** 2,
    });
  const plinth = (...args: string[]): string => {
    const { status, stdout, stderr } = ran(args);
    if (status !== 0) throw new Error(`plinth ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  // A measurement that is ended from outside takes its stack along.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      ran(['down', '--data']);
      process.exit(1);
    });
  }
  plinth('up', '--detach', '--storage-nodes', '1');
  plinth('image', 'build', join(top, 'recipes/debian-12.yaml'));
  plinth('image', 'promote', 'debian-12@v1');
  plinth('image', 'activate', 'debian-12@v1');
  const { natsUrl, nkeyFile } = JSON.parse(readFileSync(join(home, 'stack.json'), 'utf8')) as {
    natsUrl: string;
    nkeyFile: string;
  };
  const connection = await connect({ servers: natsUrl, authenticator: nkeyAuthenticator(readFileSync(nkeyFile)) });
  const jetstream = connection.jetstream();
  const waiting = new Map<string, (body: Record<string, unknown>) => void>();
  const subscription = connection.subscribe('container.*');
  void (async () => {
    for await (const message of subscription) {
      if (!['container.started', 'container.failed', 'container.rejected'].includes(message.subject)) continue;
      const body = JSON.parse(message.string()) as Record<string, unknown>;
      waiting.get(String(body.name))?.(body);
    }
  })();
  await connection.flush();
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
      const answer = new Promise<Record<string, unknown>>((done) => waiting.set(name, done));
      const begin = performance.now();
      await jetstream.publish('container.requested', JSON.stringify({ ...body, name }));
      const fact = await answer;
      const ms = performance.now() - begin;
      waiting.delete(name);
      if (typeof fact.pid !== 'number') throw new Error(`not started: ${JSON.stringify(fact)}`);
      return { ms, id: String(fact.containerId), pid: fact.pid, name };
    },
    remove: (name) => void plinth('rm', name),
    async close() {
      await connection.close();
      plinth('down', '--data');
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
