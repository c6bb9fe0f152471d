/** The image commands that build, list, show, promote, activate and revoke. */
import { readFile } from 'node:fs/promises';
import type { BuildDetails, ImageSummary, ImageUser } from '@plinth/contracts';
import { defaultOf, IMAGES } from '../output/image-list.js';
import { type ListOptions, printList } from '../output/list.js';
import { withClient } from '../connection.js';
import {
  activateImage,
  buildImage,
  ClientError,
  datacentersWithout,
  type NodeTransfer,
  promoteImage,
  revokeImage,
} from '@plinth/client';
import { print, printLine } from '../output/print.js';
import { ProgressBar } from '../output/progress.js';
import { bytes, table } from '../output/table.js';
import { TransferBars } from '../output/transfer-bars.js';
import type { SharedOptions } from './options.js';

export { activateImage, buildImage, promoteImage } from '@plinth/client';

const MAX_RECIPE_BYTES = 256 * 1024;

export async function build(file: string, options: SharedOptions & { timeout: number }): Promise<void> {
  const recipe = await readRecipe(file);
  await withClient(options.nats, async (client) => {
    const bar = new ProgressBar('building');
    try {
      const built = await buildImage(client, recipe, options.timeout, (fraction, phase) =>
        bar.update(fraction, phase),
      ).finally(() => bar.end());
      print(
        options,
        { ok: true, ...built },
        () => `${built.ref} is built and tested, ${built.contentDigest}\nnext: plinth image promote ${built.ref}`,
      );
    } catch (error) {
      if (options.json && error instanceof ClientError)
        print(options, { ok: false, reason: error.reason, message: error.message }, () => '');
      throw error;
    }
  });
}

async function readRecipe(file: string): Promise<string> {
  const text = file === '-' ? await readStandardInput() : await readRecipeFile(file);
  if (Buffer.byteLength(text) > MAX_RECIPE_BYTES)
    throw new ClientError(`a recipe may have at most ${MAX_RECIPE_BYTES / 1024} KiB`, 'too-large');
  if (text.trim() === '')
    throw new ClientError(
      `${file === '-' ? 'standard input' : file} is empty; a recipe is needed, such as recipes/debian-12.yaml`,
      'no-recipe',
    );
  return text;
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function readRecipeFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ClientError(
      `${file} can't be read: ${error instanceof Error ? error.message : String(error)}`,
      'no-file',
      { cause: error },
    );
  }
}

export async function list(name: string | undefined, options: ListOptions): Promise<void> {
  await withClient(options.nats, async (client) => {
    const images = await client.images(name);
    await printList(options, images, IMAGES);
  });
}

export async function show(ref: string, options: SharedOptions): Promise<void> {
  await withClient(options.nats, async (client) => {
    const summary = (await client.images(ref.split('@')[0])).find((image) => `${image.name}@${image.version}` === ref);
    const details = await client.build(ref).catch((error: unknown) => {
      // The image-builder may be away; the provisioner's summary is still worth showing.
      if (error instanceof ClientError && summary) return null;
      throw error;
    });
    print(options, { ...summary, build: details }, () => describe(ref, summary, details));
  });
}

function userText(user: ImageUser | null): string {
  return user ? `${user.name} (${[user.uid, user.gid, ...user.additionalGids].join(':')})` : 'root';
}

function describe(ref: string, summary: ImageSummary | undefined, details: BuildDetails | null): string {
  const manifest = details?.manifest;
  const process = manifest?.process;
  const rows: [string, string | number | null | undefined][] = [
    ['image', ref],
    ['state', summary?.state ?? details?.state],
    ['message', summary?.message],
    ['default', summary ? defaultOf(summary) : null],
    ['content', summary?.contentDigest ?? manifest?.contentDigest],
    ['parent', summary?.parent],
    ['archive', bytes(summary?.archiveBytes)],
    ['unpacked', manifest ? `${bytes(manifest.bytes)} in ${manifest.entries} entries` : bytes(summary?.unpackedBytes)],
    ['storage nodes', summary?.storageNodes.join(', ')],
    ['containers', summary?.containers],
    ['built', details?.builtAt],
    [
      'build time',
      details?.durationMs === null || details === null ? null : `${(details.durationMs / 1000).toFixed(1)} s`,
    ],
    ['entry point', process?.entrypoint.length ? JSON.stringify(process.entrypoint) : null],
    ['command', manifest ? JSON.stringify(manifest.command) : null],
    ['working directory', process?.workingDirectory],
    ['user', process ? userText(process.user) : null],
    ['stop signal', process?.stopSignal],
    ['privileges', process?.privileges ?? null],
    ['exposed ports', process?.exposedPorts.join(' ') || null],
    ['time zone', manifest?.timezone],
    ['mount script', manifest ? (manifest.customMountScript ? "the recipe's own" : 'generated') : null],
  ];
  const places = manifest
    ? `\n\n${table(
        ['WRITABLE PLACE', 'SIZE', 'CONTENT'],
        manifest.places.map((place) => [place.path, bytes(place.bytes), place.content]),
      )}`
    : '';
  const tests =
    details && details.tests.length > 0
      ? `\n\n${table(
          ['TEST', 'TIME'],
          details.tests.map((test) => [test.name, `${test.durationMs.toFixed(0)} ms`]),
        )}`
      : '';
  return `${table(['WHAT', 'VALUE'], rows)}${places}${tests}`;
}

export async function promote(
  ref: string,
  options: SharedOptions & { to?: string[]; wait: boolean; timeout: number },
): Promise<void> {
  await withClient(options.nats, async (client) => {
    const bars = new TransferBars();
    const onNode = (line: string): void => {
      bars.clear();
      if (!options.json) printLine(line);
    };
    const onTransfers = (nodes: readonly NodeTransfer[]): void => bars.draw(nodes);
    await promoteImage(client, ref, {
      ...{ to: options.to, wait: options.wait, timeoutMs: options.timeout, onNode, onTransfers },
    }).finally(() => bars.clear());
    print(options, { image: ref, promoted: true }, () => `${ref} is promoted\nnext: plinth image activate ${ref}`);
  });
}

export async function activate(ref: string, options: SharedOptions & { versionOnly?: boolean }): Promise<void> {
  await withClient(options.nats, async (client) => {
    const fact = await activateImage(client, ref, !options.versionOnly);
    const without = options.json ? [] : await datacentersWithout(client, ref);
    const warning =
      without.length === 0
        ? ''
        : `\nno storage node of ${without.join(', ')} holds it: containers there get the nearest version that is ` +
          'there, or are refused';
    print(
      options,
      fact.data,
      () => `${ref} is the default ${options.versionOnly ? 'version of its name' : 'image'} now${warning}`,
    );
  });
}

export async function revoke(ref: string, options: SharedOptions & { reason: string }): Promise<void> {
  await withClient(options.nats, async (client) => {
    const fact = await revokeImage(client, ref, options.reason);
    print(options, fact.data, () => `${ref} is revoked; containers that run on it go on, nothing new starts on it`);
  });
}
