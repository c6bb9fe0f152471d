/**
 * `npm run bench:flood`: 50,000 requests of one tenant in one burst, and one of another tenant behind them. Every one
 * has to be answered once; memory and health of the services are sampled meanwhile. It prints figures and asserts
 * nothing but the answers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from 'nats';
import { row, startSystem } from './system.js';

const REQUESTS = Number(process.env['PLINTH_BENCH_REQUESTS'] ?? 50_000);
const IN_FLIGHT = 500;
const SAMPLE_MS = 500;
/** Memory per request, so that some dozens of the burst fit, and the single one after them. */
const GREEDY_BYTES = 256 * 1024 ** 2;
const MODEST_BYTES = 8 * 1024 ** 2;

interface Service {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly health: string | null;
}

const rssMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

const system = await startSystem();
try {
  const { services } = JSON.parse(readFileSync(join(system.home, 'stack.json'), 'utf8')) as { services: Service[] };
  const answers = new Map<string, number>();
  const kinds: Record<string, number> = {};
  const listeners = new Map<string, () => void>();
  for (const subject of ['container.configured', 'container.rejected']) {
    system.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return;
        const { requestId = '', reason } = message.json<{ requestId?: string; reason?: string }>();
        answers.set(requestId, (answers.get(requestId) ?? 0) + 1);
        const kind = reason === undefined ? subject : `${subject} ${reason}`;
        kinds[kind] = (kinds[kind] ?? 0) + 1;
        listeners.get(requestId)?.();
      },
    });
  }
  await system.connection.flush();
  const jetstream = system.connection.jetstream({ timeout: 60_000 });
  const ask = async (id: string, body: object): Promise<void> => {
    const envelope = headers();
    envelope.set('ce-id', id);
    await jetstream.publish('container.requested', JSON.stringify(body), { headers: envelope });
  };
  const answered = (id: string): Promise<void> =>
    new Promise((resolve) => (answers.has(id) ? resolve() : listeners.set(id, resolve)));
  const single = async (name: string): Promise<number> => {
    const begin = performance.now();
    await ask(name, {
      name,
      tenant: 'modest',
      limits: { memoryBytes: MODEST_BYTES },
      command: ['/bin/sleep', '1000000'],
    });
    await answered(name);
    return performance.now() - begin;
  };

  await single('warm');
  const idle = await single('idle');
  const most: Record<string, number> = {};
  const before = Object.fromEntries(services.map(({ id, pid }) => [id, rssMiB(pid)]));
  let checks = 0;
  let unhealthy = 0;
  const sampling = setInterval(() => {
    for (const { id, pid } of services) most[id] = Math.max(most[id] ?? 0, rssMiB(pid));
    for (const { health } of services) {
      if (health === null) continue;
      checks++;
      fetch(health, { signal: AbortSignal.timeout(5_000) }).then(
        (reply) => void (reply.ok || unhealthy++),
        () => void unhealthy++,
      );
    }
  }, SAMPLE_MS);
  const begin = performance.now();
  const flying = new Set<Promise<void>>();
  for (let index = 0; index < REQUESTS; index++) {
    if (flying.size >= IN_FLIGHT) await Promise.race(flying);
    const one: Promise<void> = ask(`burst-${index}`, {
      name: `burst-${index}`,
      tenant: 'greedy',
      limits: { memoryBytes: GREEDY_BYTES },
      command: ['/bin/sleep', '1000000'],
    }).finally(() => flying.delete(one));
    flying.add(one);
  }
  await Promise.all(flying);
  const published = performance.now() - begin;
  const behind = await single('behind');
  while (answers.size < REQUESTS + 3) await new Promise((resolve) => setTimeout(resolve, 100));
  const total = performance.now() - begin;
  clearInterval(sampling);
  const twice = [...answers.values()].filter((count) => count > 1).length;

  row(`${REQUESTS} requests in one burst`, '');
  row('stored by the bus after, s', published / 1000);
  row('all answered after, s', total / 1000);
  row('answers a second', REQUESTS / (total / 1000));
  row('answered more than once', twice);
  for (const [kind, count] of Object.entries(kinds)) row(`  ${kind}`, count);
  row("another tenant's single request: idle, ms", idle);
  row("another tenant's single request: behind the burst, ms", behind);
  row('checks of the health of a service', checks);
  row('  of them failed', unhealthy);
  console.log('');
  row('service', 'MiB before', 'most');
  for (const { id } of services) row(id, before[id] ?? 0, most[id] ?? 0);
} finally {
  await system.close();
}
process.exit(0);
