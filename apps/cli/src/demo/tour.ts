/** The main job from a recipe to running containers, step by step, with progress and time. */
import type { ContainerStarted } from '@plinth/contracts';
import type { PlinthClient } from '@plinth/client';
import { describePorts } from '../output/network-view.js';
import { printLine } from '../output/print.js';
import { ProgressBar } from '../output/progress.js';
import { age, bytes, table } from '../output/table.js';
import {
  activate,
  build,
  callWebService,
  clear,
  memoryTable,
  NAMES,
  type Narrator,
  promote,
  publishedWhereOffered,
  request,
  showPlaces,
} from './steps.js';

interface StepTime {
  readonly name: string;
  readonly seconds: number;
}

export async function tour(client: PlinthClient): Promise<void> {
  const times: StepTime[] = [];
  const step = async <T>(name: string, work: (narrator: Narrator) => Promise<T>): Promise<T> => {
    printLine(`\n${times.length + 1}. ${name}`);
    const bar = new ProgressBar('   building');
    const begin = performance.now();
    const result = await work({
      update: (fraction, phase) => bar.update(fraction, phase),
      print: (line) => {
        bar.end();
        printLine(`   ${line}`);
      },
    }).finally(() => bar.end());
    times.push({ name, seconds: (performance.now() - begin) / 1000 });
    return result;
  };

  await waitForNodes(client);
  const ref = await step('build debian-12 from recipes/debian-12.yaml and test it', (narrator) =>
    build(client, narrator),
  );
  await step(`promote ${ref}: every storage node fetches, checks and extracts it`, (narrator) =>
    promote(client, ref, narrator),
  );
  await step(`activate ${ref} as the default`, (narrator) => activate(client, ref, narrator));
  const removed = await clear(client);
  if (removed.length > 0) printLine(`\n   removed those of an earlier demo: ${removed.join(', ')}`);
  const explicit = await step('request a container with an explicit version', (narrator) =>
    request(client, { name: NAMES.explicit, image: ref }, narrator),
  );
  await step('request a container with an unknown version', (narrator) =>
    request(client, { name: NAMES.fallback, image: 'debian-12@v999999' }, narrator),
  );
  const web = await step('request a container that runs a web service from /sw, and call it', async (narrator) => {
    const started: ContainerStarted = await request(
      client,
      {
        name: NAMES.web,
        software: 'hello-web',
        command: ['/usr/bin/perl', '/sw/serve.pl'],
        env: { GREETING: 'good day' },
        timezone: 'Europe/Vienna',
        ports: await publishedWhereOffered(client),
      },
      narrator,
    );
    await callWebService(client, started, explicit, narrator);
    return started;
  });
  await step('list the containers', async (narrator) => {
    const rows = (await client.containers()).map((item) => [
      item.name,
      item.state,
      item.host,
      item.address?.ipv4,
      describePorts(item.ports),
      item.image,
      item.imageAsked,
      item.fallbackReason,
      item.pid,
      age(item.startedAt, Date.now()),
    ]);
    const columns = ['NAME', 'STATE', 'HOST', 'ADDRESS', 'PORTS', 'IMAGE', 'ASKED', 'FALLBACK', 'PID', 'UP'];
    for (const line of table(columns, rows).split('\n')) narrator.print(line);
  });
  await step(`run a command inside ${web.name}`, async (narrator) => {
    const result = await client.exec(web.host, web.containerId, [
      '/bin/sh',
      '-c',
      '. /etc/os-release; echo "$PRETTY_NAME, $(date +%Z), pid 1 is $(cat /proc/1/comm)"',
    ]);
    narrator.print(result.stdout.trim());
  });
  await step('what is read-only, what forgets, what keeps', (narrator) => showPlaces(client, explicit, narrator));

  printLine('\nsummary');
  const rows = times.map(({ name, seconds }) => [name, `${seconds.toFixed(2)} s`]);
  printLine(indent(table(['STEP', 'TIME'], rows)));
  const image = (await client.images()).find((item) => `${item.name}@${item.version}` === ref);
  printLine(
    `\n   ${ref}: ${bytes(image?.unpackedBytes)} on disk once per storage node, ${bytes(image?.archiveBytes)} as ` +
      'an archive, for however many containers',
  );
  printLine(indent(await memoryTable(client)));
  printLine(
    '\nThe stack goes on running. To inspect it: ./plinth ps, ./plinth status, ./plinth events -f, ./plinth logs ' +
      'demo-web',
  );
  printLine('To stop it: ./plinth down');
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `   ${line}`)
    .join('\n');
}

/** A stack that has just been started lists its nodes after their first heartbeats. */
async function waitForNodes(client: PlinthClient): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const [hosts, storage] = await Promise.all([client.hosts(), client.storage()]);
    if (hosts.some((host) => host.state === 'ready') && storage.some((node) => node.state === 'ready')) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
