/** The image commands that compare two images and print the plan of a start. */
import { type FileChange, type ImageDiff, QUERIES } from '@plinth/contracts';
import { withClient } from '../connection.js';
import { ClientError, type PlinthClient } from '@plinth/client';
import { describeDiff, describePlan } from '../output/image-view.js';
import { print } from '../output/print.js';
import type { SharedOptions } from './options.js';

/** Files that are printed without `--files`. */
const SHOWN_FILES = 20;

export async function diff(from: string, to: string, options: SharedOptions & { files?: boolean }): Promise<void> {
  await withClient(options.nats, async (client) => {
    const limit = options.files || options.json ? undefined : SHOWN_FILES;
    const first = await client.query(QUERIES.imageDiff, { from, to, limit });
    const items = options.files ? await allFiles(client, first) : first.files.items;
    const { added, removed, changed, touched } = first.files;
    const leftOut = added + removed + changed - items.length;
    const found = { ...first, files: { added, removed, changed, touched, items, leftOut } };
    print(options, found, () => describeDiff(found, leftOut));
  });
}

/** Asks for the exact versions of the first reply, because a name may mean a newer version by now. */
async function allFiles(client: PlinthClient, first: ImageDiff): Promise<readonly FileChange[]> {
  const items = [...first.files.items];
  for (let cursor = first.files.next; cursor !== undefined;) {
    const { files } = await client.query(QUERIES.imageDiff, {
      from: first.from.image,
      to: first.to.image,
      cursor,
    });
    items.push(...files.items);
    cursor = files.next;
  }
  return items;
}

export async function plan(
  image: string,
  options: SharedOptions & { container?: string; tenant: string },
): Promise<void> {
  await withClient(options.nats, async (client) => {
    const config =
      options.container === undefined ? undefined : (await client.container(options.container, options.tenant)).config;
    if (config === null)
      throw new ClientError(`${options.container ?? ''} has no config yet; try again`, 'wrong-state');
    const found = await client.query(QUERIES.imagePlan, { image, config });
    print(options, found, () => describePlan(found));
  });
}
