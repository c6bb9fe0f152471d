/** Three provisioners at once on a real NATS and PostgreSQL: nothing twice, nothing lost, no host over its capacity. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ContainerConfig,
  type HostStatus,
  hostHeartbeat,
  hostReport,
  QUERIES,
  storageHeartbeat,
  SUBJECTS,
} from '@plinth/contracts';
import { ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type JetStreamClient, type NatsConnection } from 'nats';

const CAPACITY = 20;
const HOSTS = ['host-1', 'host-2'];
const digest = `sha256:${'a'.repeat(64)}`;

let nats: TestServer;
let postgres: TestServer;
let connection: NatsConnection;
let jetstream: JetStreamClient;
let beating: NodeJS.Timeout;
const provisioners: ServiceProcess[] = [];
const facts: { subject: string; data: Record<string, unknown> }[] = [];
const configs: ContainerConfig[] = [];

const startProvisioner = (id: string): Promise<ServiceProcess> =>
  ServiceProcess.start('provisioner', {
    NATS_URL: nats.url,
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: id,
    PLINTH_HOST_LOST_SECONDS: '6',
  });

function beat(hosts: readonly string[]): void {
  const at = new Date().toISOString();
  for (const host of hosts) {
    const capacity = { memoryBytes: 1024 ** 4, cpus: 64, containers: CAPACITY };
    const body = {
      host,
      incarnation: '0'.repeat(32),
      at,
      datacenter: 'dc-1',
      storageNodes: ['sn-1'],
      capacity,
      load: { load1: 0, memoryUsedBytes: 0, containers: 0 },
      runtime: 'crun',
    };
    connection.publish(hostHeartbeat(host), JSON.stringify(body));
  }
  const images = [{ name: 'debian-12', version: 'v1', contentDigest: digest, mountScriptDigest: digest }];
  connection.publish(
    storageHeartbeat('sn-1'),
    JSON.stringify({ node: 'sn-1', at, datacenter: 'dc-1', labels: {}, totalBytes: 1e12, freeBytes: 1e12, images }),
  );
}

async function until<T>(read: () => T | undefined | false | Promise<T | undefined | false>, what: string): Promise<T> {
  for (
    const deadline = Date.now() + 60_000;
    Date.now() < deadline;
    await new Promise((resolve) => setTimeout(resolve, 20))
  ) {
    const found = await read();
    if (found) return found;
  }
  throw new Error(`not within 60 s: ${what}; last facts ${JSON.stringify(facts.slice(-3))}`);
}

const named = (subject: string, prefix: string) =>
  facts.filter((fact) => fact.subject === subject && String(fact.data.name).startsWith(prefix));

async function hosts(): Promise<readonly HostStatus[]> {
  const reply = JSON.parse((await connection.request(QUERIES.hosts, '{}', { timeout: 60_000 })).string()) as {
    data: { items: HostStatus[] };
  };
  return reply.data.items;
}

beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  // They start together on an empty database, so they also race to make streams and tables.
  provisioners.push(...(await Promise.all(['provisioner-1', 'provisioner-2', 'provisioner-3'].map(startProvisioner))));
  connection = await connect({ servers: nats.url });
  jetstream = connection.jetstream({ timeout: 60_000 });
  // Only the needed subjects: a subscription to all would also keep the inboxes of dead processes open.
  for (const subject of ['container.>', 'image.>', 'host.>', 'desired.host.*.container.*']) {
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null || message.data.length === 0 || message.subject.endsWith('.requested')) return;
        if (message.subject.startsWith('desired.')) configs.push(message.json());
        else facts.push({ subject: message.subject, data: message.json() });
      },
    });
  }
  beating = setInterval(() => beat(HOSTS), 300);
  await jetstream.publish(
    SUBJECTS.imagePromoted,
    JSON.stringify({
      name: 'debian-12',
      version: 'v1',
      contentDigest: digest,
      manifestDigest: digest,
      archiveDigest: digest,
      archiveBytes: 1,
      unpackedBytes: 1,
      sources: ['http://127.0.0.1:1/x'],
    }),
  );
  await until(async () => {
    await jetstream.publish(SUBJECTS.imageActivationRequested, JSON.stringify({ image: 'debian-12@v1' }));
    await new Promise((resolve) => setTimeout(resolve, 200));
    return facts.some((fact) => fact.subject === SUBJECTS.imageActivated);
  }, 'the image is active');
  await until(async () => (await hosts()).length === HOSTS.length, 'the hosts are known');
});

afterAll(async () => {
  clearInterval(beating);
  await connection?.close();
  await Promise.all(provisioners.map((provisioner) => provisioner.end()));
  await Promise.all([nats?.stop(), postgres?.stop()]);
});

describe('three provisioners', () => {
  it('give one name to one of twenty requests', async () => {
    await Promise.all(
      Array.from({ length: 20 }, () => jetstream.publish(SUBJECTS.containerRequested, '{"name":"same"}')),
    );
    await until(() => named(SUBJECTS.containerRejected, 'same').length === 19, '19 refusals');
    expect(named(SUBJECTS.containerConfigured, 'same')).toHaveLength(1);
    for (const { data } of named(SUBJECTS.containerRejected, 'same')) expect(data.reason).toBe('name-taken');
  });

  it('never exceed a host, with one of them killed in the middle, and answer every request once', async () => {
    const asked = 100;
    const requests = Array.from({ length: asked }, (_, index) =>
      jetstream.publish(SUBJECTS.containerRequested, JSON.stringify({ name: `many-${index}` })),
    );
    await Promise.all(requests.slice(0, 30));
    const third = provisioners[2];
    await third?.end('SIGKILL');
    await Promise.all(requests);
    const answered = (): string[] =>
      [...named(SUBJECTS.containerConfigured, 'many-'), ...named(SUBJECTS.containerRejected, 'many-')].map((fact) =>
        String(fact.data.name),
      );
    await until(() => new Set(answered()).size === asked, 'every request is answered');
    expect(named(SUBJECTS.containerConfigured, 'many-')).toHaveLength(HOSTS.length * CAPACITY - 1);
    for (const { data } of named(SUBJECTS.containerRejected, 'many-')) expect(data.reason).toBe('no-capacity');
    expect(answered()).toHaveLength(asked);
    for (const host of await hosts()) expect(host.allocated.containers).toBe(CAPACITY);
    for (const host of HOSTS)
      expect(new Set(configs.filter((config) => config.host === host).map((config) => config.containerId)).size).toBe(
        CAPACITY,
      );
  });

  it('free the room when a container is removed, once', async () => {
    const config = configs.find((item) => item.name === 'same');
    if (!config) throw new Error('no config');
    await jetstream.publish(SUBJECTS.containerRemoveRequested, JSON.stringify({ id: config.containerId }));
    await until(
      () => configs.some((item) => item.containerId === config.containerId && item.desired === 'removed'),
      'the host gets the config',
    );
    const report = {
      kind: 'removed',
      host: config.host,
      containerId: config.containerId,
      generation: 2,
      sequence: 5,
      at: new Date().toISOString(),
    };
    for (let times = 0; times < 3; times++)
      await jetstream.publish(hostReport(config.host, config.containerId), JSON.stringify(report));
    await until(() => named(SUBJECTS.containerRemoved, 'same').length > 0, 'it is removed');
    await until(
      async () => (await hosts()).find((host) => host.host === config.host)?.allocated.containers === CAPACITY - 1,
      'the room is free',
    );
    expect(named(SUBJECTS.containerRemoved, 'same')).toHaveLength(1);
  });

  it('accept a report only from the host that the container is on', async () => {
    const config = configs.find((item) => item.host === 'host-1' && item.name.startsWith('many-'));
    if (!config) throw new Error('no config');
    const started = (host: string, sequence: number) => ({
      kind: 'started',
      host,
      containerId: config.containerId,
      generation: 1,
      sequence,
      at: new Date().toISOString(),
      pid: 4711,
      phases: { premount: 1, mount: 1, runtime: 1 },
    });
    await jetstream.publish(hostReport('host-2', config.containerId), JSON.stringify(started('host-2', 9)));
    await jetstream.publish(hostReport('host-2', config.containerId), JSON.stringify(started('host-1', 9)));
    await jetstream.publish(hostReport('host-1', config.containerId), JSON.stringify(started('host-1', 1)));
    await until(() => named(SUBJECTS.containerStarted, config.name).length > 0, 'the true report is taken');
    expect(named(SUBJECTS.containerStarted, config.name)).toHaveLength(1);
    expect(named(SUBJECTS.containerStarted, config.name)[0]?.data).toMatchObject({ host: 'host-1', pid: 4711 });
  });

  it('mark a silent host lost with its containers, once, place nothing there, and take it back', async () => {
    clearInterval(beating);
    beating = setInterval(() => beat(['host-2']), 300);
    await until(() => facts.some((fact) => fact.subject === SUBJECTS.hostLost), 'host-1 is lost');
    expect(facts.filter((fact) => fact.subject === SUBJECTS.hostLost).map((fact) => fact.data.host)).toEqual([
      'host-1',
    ]);
    await until(
      () => facts.filter((fact) => fact.subject === SUBJECTS.containerLost).length > 0,
      'its containers are lost',
    );
    await jetstream.publish(SUBJECTS.containerRequested, '{"name":"not-there"}');
    const answer = await until(() => facts.find((fact) => fact.data.name === 'not-there'), 'an answer');
    expect(answer.subject === SUBJECTS.containerRejected || answer.data.host === 'host-2').toBe(true);
    clearInterval(beating);
    beating = setInterval(() => beat(HOSTS), 300);
    await until(() => facts.some((fact) => fact.subject === SUBJECTS.hostRecovered), 'host-1 is back');
  });
});
