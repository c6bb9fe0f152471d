/** The steps of the tour: each does one thing on the real system and prints what it saw. */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type ContainerStarted, EVENTS_ABOUT, type FactSubject, type PortRequest, SUBJECTS } from '@plinth/contracts';
import { ClientError, type PlinthClient, type Promoted, updateContainer } from '@plinth/client';
import { activateImage, buildImage, promoteImage } from '../commands/image-actions.js';
import { bytes, table } from '../output/table.js';
import { installationDirectory } from '@plinth/stack';

/** Names of the tour's containers; a tour that is taken again replaces them. */
export const NAMES = { explicit: 'demo-explicit', fallback: 'demo-fallback', web: 'demo-web' } as const;

const START_MS = 60_000;
/** Of the service in /sw/hello-web. */
const WEB_PORT = 8080;

export interface Narrator {
  /** Shows the progress of the current step. */
  update(fraction: number, phase: string): void;
  /** Prints a line. */
  print(line: string): void;
}

export function firstRecipe(): Promise<string> {
  return readFile(join(installationDirectory(), 'recipes', 'debian-12.yaml'), 'utf8');
}

/** The next version: the one before, with something changed. */
export function recipeOn(ref: string, change: string): string {
  return `name: ${ref.split('@')[0]}\nfrom: { image: ${ref} }\n${change}\n`;
}

/** @returns `name@version` */
export async function build(client: PlinthClient, recipe: string, narrator: Narrator): Promise<string> {
  const { ref, contentDigest } = await buildImage(client, recipe, 1_800_000, (fraction, phase) =>
    narrator.update(fraction, phase),
  );
  narrator.print(`${ref} is built and tested: ${contentDigest}`);
  return ref;
}

export function promote(client: PlinthClient, ref: string, narrator: Narrator): Promise<Promoted> {
  return promoteImage(client, ref, { wait: true, timeoutMs: 300_000, onNode: (line) => narrator.print(line) });
}

/** Short criteria: a demonstration, not a recommendation. */
export async function update(
  client: PlinthClient,
  container: ContainerStarted,
  to: string,
  narrator: Narrator,
): Promise<'updated' | 'reverted'> {
  const request = { to, stableSeconds: 1, soakSeconds: 1 };
  const outcome = await updateContainer(client, container.containerId, request, START_MS, () => undefined);
  if (!outcome) throw new ClientError(`there is no verdict on ${to}`, 'demo-failed');
  if (outcome.kind === 'updated') narrator.print(`${container.name} runs on ${to}; it was on ${outcome.fact.from}`);
  else {
    const { failedImage, reason, image, message } = outcome.fact;
    narrator.print(`${failedImage} failed (${reason}): ${message}`);
    narrator.print(`${container.name} runs on ${image} again, by the decision of its host alone`);
  }
  const motd = await client.exec(container.host, container.containerId, ['/bin/cat', '/etc/motd', '/data/note']);
  narrator.print(`its /etc/motd and /data/note: ${motd.stdout.trim().split('\n').join(', ')}`);
  return outcome.kind;
}

export async function activate(client: PlinthClient, ref: string, narrator: Narrator): Promise<void> {
  await activateImage(client, ref, true);
  narrator.print(`containers that name no image, or one that can't be served, get ${ref}`);
}

/** Removes the containers of an earlier tour. @returns their names */
export async function clear(client: PlinthClient): Promise<string[]> {
  const old = (await client.containers()).filter(
    (container) => Object.values<string>(NAMES).includes(container.name) && container.tenant === 'default',
  );
  await Promise.all(
    old.map((container) => act(client, SUBJECTS.containerRemoveRequested, container.id, SUBJECTS.containerRemoved)),
  );
  return old.map(({ name }) => name);
}

export async function request(client: PlinthClient, body: object, narrator: Narrator): Promise<ContainerStarted> {
  const stream = await client.request(SUBJECTS.containerRequested, body, [EVENTS_ABOUT.containers]);
  const fact = await stream.first(
    ({ subject }) =>
      ([SUBJECTS.containerStarted, SUBJECTS.containerFailed, SUBJECTS.containerRejected] as string[]).includes(subject),
    START_MS,
  );
  stream.close();
  if (fact.subject !== SUBJECTS.containerStarted)
    throw new ClientError(`${fact.subject}: ${String(fact.data.message)}`, String(fact.data.reason));
  const started = fact.data as unknown as ContainerStarted;
  const fallback = started.fallbackReason
    ? ` (asked for ${started.imageAsked}; ${started.fallbackReason}, so the default)`
    : '';
  const { decide, deliver, premount, mount, runtime } = started.phases;
  const phases = [
    ['decide', decide],
    ['deliver', deliver],
    ['premount', premount],
    ['mount', mount],
    ['runtime', runtime],
  ]
    .map(([name, ms]) => `${name} ${Number(ms).toFixed(0)}`)
    .join(', ');
  narrator.print(
    `${started.name} runs on ${started.host}: ${started.image}${fallback}; ${started.durationMs.toFixed(0)} ms ` +
      `(${phases})`,
  );
  return started;
}

export async function act(
  client: PlinthClient,
  subject: typeof SUBJECTS.containerRemoveRequested | typeof SUBJECTS.containerRestartRequested,
  id: string,
  done: FactSubject,
): Promise<void> {
  const facts = await client.facts(
    [EVENTS_ABOUT.containers],
    (fact) => fact.data.containerId === id && (fact.subject === done || fact.subject === SUBJECTS.containerFailed),
  );
  const stream = await client.request(subject, { id }, [SUBJECTS.containerRejected]);
  try {
    const fact = await Promise.race([
      facts.first(() => true, START_MS),
      stream.first(({ subject: answer }) => answer === SUBJECTS.containerRejected, START_MS),
    ]);
    if (fact.subject !== done)
      throw new ClientError(`${fact.subject}: ${String(fact.data.message)}`, String(fact.data.reason));
  } finally {
    facts.close();
    stream.close();
  }
}

/** Shows that the root is read-only, that /etc forgets and that /data keeps. */
export async function showPlaces(client: PlinthClient, started: ContainerStarted, narrator: Narrator): Promise<void> {
  const sh = async (script: string): Promise<{ exitCode: number; text: string }> => {
    const result = await client.exec(started.host, started.containerId, ['/bin/sh', '-c', script]);
    return { exitCode: result.exitCode, text: (result.stdout + result.stderr).trim() };
  };
  const expect = (ok: boolean, what: string, seen: string): void => {
    if (!ok) throw new ClientError(`${what}: ${seen}`, 'demo-failed');
    narrator.print(`${what}: ${seen}`);
  };
  const usr = await sh('touch /usr/x');
  expect(usr.exitCode !== 0, '/usr refuses a write', usr.text);
  const etc = await sh('echo changed > /etc/motd && echo kept > /data/note && cat /etc/motd');
  expect(etc.exitCode === 0, '/etc takes one', etc.text);
  await act(client, SUBJECTS.containerRestartRequested, started.containerId, SUBJECTS.containerStarted);
  const motd = await sh('cat /etc/motd');
  expect(
    !motd.text.includes('changed'),
    '/etc is back to the image after a restart',
    JSON.stringify(motd.text.split('\n').slice(0, 1).join('').slice(0, 60)),
  );
  const note = await sh('cat /data/note');
  expect(note.text === 'kept', '/data survived it', note.text);
}

/** Ports to ask for: none where no host gives containers an address. */
export async function publishedWhereOffered(client: PlinthClient): Promise<readonly PortRequest[] | undefined> {
  const hosts = await client.hosts();
  return hosts.some(({ state, network }) => state === 'ready' && network) ? [{ container: WEB_PORT }] : undefined;
}

/**
 * From within; and, where it has an address: from the host at that, at the published port, and by its name from another
 * container.
 */
export async function callWebService(
  client: PlinthClient,
  web: ContainerStarted,
  other: ContainerStarted,
  narrator: Narrator,
): Promise<void> {
  const from = (caller: ContainerStarted, place: string) => async (): Promise<string | undefined> => {
    const script = `exec 3<>/dev/tcp/${place}/${WEB_PORT} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
    const result = await client.exec(caller.host, caller.containerId, ['/bin/bash', '-c', script]);
    return result.exitCode === 0 && result.stdout.includes('200 OK') ? result.stdout : undefined;
  };
  narrator.print(`it answers itself: ${await answered(from(web, '127.0.0.1'))}`);
  const { address, ports: [port] = [], dnsName } = web;
  if (!address) return narrator.print('this host gives containers no address: ./plinth doctor tells why');
  const url = `http://${address.ipv4}:${WEB_PORT}/`;
  narrator.print(`curl ${url} on the host: ${await answered(() => textAt(url))}`);
  for (const host of port ? addressesOfThisHost() : []) {
    const published = `http://${host}:${port?.hostPort}/`;
    narrator.print(`curl ${published}, its published port: ${await answered(() => textAt(published))}`);
  }
  const same = from(other, web.name);
  narrator.print(`${other.name} calls it as ${web.name}, in full ${dnsName ?? web.name}: ${await answered(same)}`);
}

/** The last line of the answer; the service may still be opening its port. */
async function answered(call: () => Promise<string | undefined>): Promise<string> {
  for (let attempt = 1; attempt <= 100; attempt++) {
    const text = await call();
    if (text !== undefined) return text.trim().split('\n').at(-1) ?? '';
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new ClientError('the web service does not answer', 'demo-failed');
}

async function textAt(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? await response.text() : undefined;
  } catch (error) {
    // fetch(): what the network refuses is a TypeError, what takes too long a TimeoutError.
    if (error instanceof TypeError || (error instanceof Error && error.name === 'TimeoutError')) return undefined;
    throw error;
  }
}

/** One of each family, for a URL. Published ports are not on the loopback; a link-local address names no interface. */
function addressesOfThisHost(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const first = (wanted: 'IPv4' | 'IPv6'): string | undefined =>
    all.find(({ family, internal, address }) => family === wanted && !internal && !address.startsWith('fe80:'))
      ?.address;
  const [ipv4, ipv6] = [first('IPv4'), first('IPv6')];
  return [...(ipv4 === undefined ? [] : [ipv4]), ...(ipv6 === undefined ? [] : [`[${ipv6}]`])];
}

export async function memoryTable(client: PlinthClient): Promise<string> {
  const containers = (await client.containers({ state: 'running' })).filter((container) =>
    Object.values<string>(NAMES).includes(container.name),
  );
  const stats = (
    await Promise.all(
      [...new Set(containers.map((container) => container.host ?? ''))].map((host) => client.stats(host)),
    )
  ).flat();
  return table(
    ['CONTAINER', 'HOST', 'PRIVATE', 'SHARED', 'FAIR SHARE'],
    containers.map((container) => {
      const own = stats.find((item) => item.containerId === container.id);
      return [
        container.name,
        container.host,
        bytes(own?.privateBytes),
        bytes(own?.sharedBytes),
        bytes(own?.proportionalBytes),
      ];
    }),
  );
}
