/**
 * `node scripts/compose-agents.mjs IMAGE`, by hand: a host agent in a container of a real Docker daemon (DOCKER_HOST),
 * with the options of docker-compose.yml. Its container is ended and made again in four ways; containers have to go on.
 * IMAGE has the packages of the Dockerfile; program and Node.js are those of this machine. After `npm run build`.
 */
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const { AgentBench, leftovers, waitFor } = await import(`${top}/apps/host-agent/build/testing/agent-bench.js`);
const [image] = process.argv.slice(2);
const compose = parse(readFileSync(join(top, 'docker-compose.yml'), 'utf8'), { merge: true });
const { 'host-agent-1': service, 'host-network-1': holder } = compose.services;
const MAIN = [process.execPath, join(top, 'apps/host-agent/dist/main.js')];
const [AGENT, NETWORK] = ['plinth-compose-agent', 'plinth-compose-network'];
const BUS_PORT = 4999;
/** Prints without end, and answers each connection. */
const COMMAND = `use IO::Socket::INET; $| = 1; $SIG{CHLD} = 'IGNORE'; $SIG{TERM} = sub { exit 7 };
if (!fork) { while (1) { print "line\\n"; sleep 1 } }
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (1) { my $client = $server->accept or next; next if fork; $client->send("hello"); exit }`;

const run = promisify(execFile);
/** This process passes the agent's messages on, so it never waits for a program. */
const docker = async (...argv) => (await run('docker', argv)).stdout.trim();
const pairs = (flag, entries) => Object.entries(entries).flatMap(([name, value]) => [flag, `${name}=${value}`]);

const bench = await AgentBench.open();
bench.leaseSeconds = 30;
await bench.installImage('v1');
const hold = () =>
  docker(
    'run',
    '-d',
    '--name',
    NETWORK,
    '--network',
    NETWORK,
    ...pairs('--sysctl', holder.sysctls),
    image,
    'sleep',
    'infinity',
  );
await docker('network', 'create', NETWORK);
await hold();
const { Gateway: gateway } = JSON.parse(await docker('inspect', NETWORK))[0].NetworkSettings.Networks[NETWORK];
const bus = new URL(bench.agentEnvironment().NATS_URL);
const passing = createServer((here) => {
  const there = connect(Number(bus.port), bus.hostname);
  for (const [one, other] of [
    [here, there],
    [there, here],
  ])
    one.pipe(other).on('error', () => one.destroy());
}).listen(BUS_PORT, gateway);
const flags = [
  ...(service.privileged ? ['--privileged'] : []),
  ...['--pid', service.pid, '--cgroupns', service.cgroup, '--network', `container:${NETWORK}`],
  ...service.volumes.filter((volume) => /^\/(?:sys|run)\//.test(volume)).flatMap((volume) => ['-v', volume]),
  ...[bench.directory, `${top}:ro`, `${process.execPath}:ro`].flatMap((path) => {
    const [at, mode = 'rw'] = path.split(':');
    return ['-v', `${at}:${at}:${mode}`];
  }),
  ...pairs('-e', {
    ...bench.agentEnvironment(),
    NATS_URL: `nats://${gateway}:${BUS_PORT}`,
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  }),
];
const start = () => docker('run', '-d', '--name', AGENT, ...flags, image, ...MAIN);

const addressOf = (number) => ({ ipv4: `10.64.1.${number}`, ipv6: `fd00:706c:696e::a40:10${number}` });
const configOf = (number) =>
  bench.config({
    name: `web-${number}`,
    tenant: 'tenant-1',
    tenantNumber: 1,
    network: 'container',
    address: addressOf(number),
    command: ['/usr/bin/perl', '-e', COMMAND],
    ports: [{ protocol: 'tcp', hostPort: 8080 + number, containerPort: 80 }],
  });
const configs = [configOf(1), configOf(2)];
const ids = configs.map(({ containerId }) => containerId);
const reportsOf = async (after) =>
  Promise.all(ids.map((id, index) => bench.report(id, 'started', { after: after[index]?.sequence ?? 0 })));
/** What a host name and a port answer, asked from the first container. */
const ask = async (name, port) => {
  const command = ['/usr/bin/timeout', '3', '/bin/bash', '-c', `exec 3<>/dev/tcp/${name}/${port} && cat <&3`];
  // Nobody answers while an agent does not listen yet.
  const asked = bench.exec({ containerId: ids[0], command }).then(({ stdout }) => stdout);
  return Promise.race([asked, delay(5_000)]);
};
const WAYS = {
  'killed and removed': async () => void (await docker('kill', AGENT), await docker('rm', AGENT)),
  'removed by force': () => docker('rm', '-f', AGENT),
  'stopped and removed': async () => void (await docker('stop', '-t', '30', AGENT), await docker('rm', AGENT)),
  'removed with its network': async () => void (await docker('rm', '-f', AGENT, NETWORK), await hold()),
};
let failed = false;
const check = (what, holds) => {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
  failed ||= !holds;
};

try {
  await start();
  for (const config of configs) await bench.publishConfig(config);
  let started = await reportsOf([]);
  for (const [way, end] of Object.entries(WAYS)) {
    await end();
    check(
      `${way}: without an agent all containers run`,
      ids.every((id, index) => bench.alive(id).includes(started[index].pid)),
    );
    await start();
    const again = await reportsOf(started);
    check(
      `${way}: the next agent has them`,
      again.every(({ pid }, index) => pid === started[index].pid),
    );
    started = again;
    const answered = await waitFor(
      async () => ((await ask('web-2', 80)) === 'hello' ? true : undefined),
      'an answer',
    ).catch(() => false);
    check(`${way}: names and addresses`, answered);
    const host = JSON.parse(await docker('inspect', NETWORK))[0].NetworkSettings.Networks[NETWORK].IPAddress;
    check(
      `${way}: published ports`,
      (await run('timeout', ['3', 'bash', '-c', `exec 3<>/dev/tcp/${host}/8082 && cat <&3`]).catch(() => ({})))
        .stdout === 'hello',
    );
    check(`${way}: logs`, (await bench.logs({ containerId: ids[1], tail: 1 })).stdout.includes('line'));
  }
  await bench.publishConfig({ ...configs[1], generation: 2, desired: 'stopped' });
  check('the monitor knows the exit code', (await bench.report(ids[1], 'stopped')).exitCode === 7);
} finally {
  await docker('rm', '-f', AGENT);
  await docker('run', '--rm', ...flags, image, ...MAIN, '--remove-all');
  await docker('rm', '-f', NETWORK);
  await docker('network', 'rm', NETWORK);
  // The lease guard ends a second after the last container.
  await delay(2_000);
  const left = [
    ...leftovers(bench, ids),
    execFileSync('sh', ['-c', 'ls -d /sys/fs/cgroup/*/plinth-monitors.* 2>/dev/null || :'], { encoding: 'utf8' }),
  ];
  console.log('left:', left.filter((line) => line !== '').join('\n') || 'nothing');
  passing.close();
  await bench.close();
}
process.exit(failed ? 1 : 0);
