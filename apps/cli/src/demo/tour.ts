/** The main job from a recipe to running containers, step by step, with progress and time. */
import type { ContainerStarted } from '@plinth/contracts';
import { ClientError, type PlinthClient } from '@plinth/client';
import { describePorts } from '../output/network-view.js';
import { printLine } from '../output/print.js';
import { ProgressBar } from '../output/progress.js';
import { age, bytes, table } from '../output/table.js';
import {
  activate,
  build,
  callWebService,
  clear,
  firstRecipe,
  memoryTable,
  NAMES,
  type Narrator,
  promote,
  publishedWhereOffered,
  recipeOn,
  request,
  showPlaces,
  update,
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
    firstRecipe().then((recipe) => build(client, recipe, narrator)),
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

  const second = await step(`build a version 2: ${ref} with another /etc/motd`, (narrator) =>
    build(client, recipeOn(ref, 'files: [{ path: /etc/motd, content: "this is version 2\\n" }]'), narrator),
  );
  const { archiveBytes, downloadedBytes } = await step(
    `promote ${second}: storage nodes fetch what differs`,
    (narrator) => promote(client, second, narrator),
  );
  await step(`update ${web.name} to ${second}: one property of its config, and a restart`, async (narrator) => {
    await client.exec(web.host, web.containerId, ['/bin/sh', '-c', 'echo kept > /data/note']);
    await mustBe('updated', update(client, web, second, narrator));
  });
  const broken = await step('build and promote a version 3 in which perl is missing', async (narrator) => {
    const built = await build(client, recipeOn(second, 'run: ["rm /usr/bin/perl"]'), narrator);
    await promote(client, built, narrator);
    return built;
  });
  await step(`update ${web.name}, which needs perl, to ${broken}`, (narrator) =>
    mustBe('reverted', update(client, web, broken, narrator)),
  );

  printLine('\nsummary');
  const rows = times.map(({ name, seconds }) => [name, `${seconds.toFixed(2)} s`]);
  printLine(indent(table(['STEP', 'TIME'], rows)));
  const image = (await client.images()).find((item) => `${item.name}@${item.version}` === ref);
  printLine(
    `\n   ${ref}: ${bytes(image?.unpackedBytes)} on disk once per storage node, ${bytes(image?.archiveBytes)} as ` +
      'an archive, for however many containers',
  );
  const cost = Math.max(0, ...downloadedBytes.values());
  if (cost > 0)
    printLine(`   ${second}: ${bytes(cost)} on the wire for each storage node instead of ${bytes(archiveBytes)}`);
  printLine(indent(await memoryTable(client)));
  printLine(
    '\nThe stack goes on running. To inspect it: ./plinth ps, ./plinth status, ./plinth events -f, ./plinth logs ' +
      'demo-web',
  );
  printLine('To stop it: ./plinth down');
}

async function mustBe(expected: 'updated' | 'reverted', outcome: Promise<'updated' | 'reverted'>): Promise<void> {
  const seen = await outcome;
  if (seen !== expected) throw new ClientError(`the container was to be ${expected}, and was ${seen}`, 'demo-failed');
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
