/** `plinth cache`: images in the hosts' own stores. */
import type { Command } from 'commander';
import { changeCache } from '@plinth/client';
import { type ImageCacheOperation, type ImageTransfer, type Labels, parseLabels } from '@plinth/contracts';
import { withClient } from '../connection.js';
import { print } from '../output/print.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { describeTransfer } from '../output/transfer-bars.js';
import { type SharedOptions, withShared } from './options.js';

interface HostOptions extends SharedOptions {
  readonly host?: readonly string[];
  readonly labels?: string;
}

interface CacheRow {
  readonly host: string;
  readonly image: string;
  /** Absent: it is there. */
  readonly transfer?: ImageTransfer;
}

const COMMANDS: readonly { readonly operation: ImageCacheOperation; readonly what: string; readonly done: string }[] = [
  { operation: 'prefetch', what: 'have hosts fetch a version before a container needs it', done: 'is fetched by' },
  { operation: 'pin', what: 'have hosts fetch a version and keep it', done: 'is kept by' },
  { operation: 'unpin', what: 'no longer have hosts keep a version', done: 'need no longer be kept by' },
  { operation: 'evict', what: 'have hosts remove a version that no container of theirs needs', done: 'goes from' },
];

const HELD: List<CacheRow> = {
  name: ({ image }) => image,
  columns: [
    { heading: 'HOST', cell: ({ host }) => host },
    { heading: 'IMAGE', cell: ({ image }) => image },
    { heading: 'FETCHED', cell: ({ transfer }) => (transfer ? describeTransfer(transfer) : 'whole') },
  ],
};

export function register(program: Command): void {
  const cache = program
    .command('cache')
    .description('images in the stores of hosts that have one of their own')
    .action(() => cache.help({ error: true }));
  for (const { operation, what, done } of COMMANDS) {
    const command = withShared(cache.command(operation))
      .description(what)
      .addHelpText('after', `\nExample:\n  plinth cache ${operation} debian-12@v2 --host host-1`)
      .argument('<image>', 'name@version')
      .option('--host <host>', 'only this host; may be repeated', collect);
    if (operation !== 'evict')
      command.option('--labels <labels>', 'only hosts that have all of these, such as rack=r1');
    command.action(async (image: string, options: HostOptions, self: Command) => {
      const labels: Labels | string = options.labels === undefined ? {} : parseLabels(options.labels);
      if (typeof labels === 'string') return self.error(`error: ${labels}`, { exitCode: 2 });
      await withClient(options.nats, async (client) => {
        const { data } = await changeCache(client, operation, image, {
          ...(options.host && { hosts: options.host }),
          labels,
        });
        const hosts = Number(data['hosts']);
        print(options, { image, operation, hosts }, () =>
          hosts === 0
            ? operation === 'pin' && !options.host
              ? `no host needs a change; those that join later, or get the labels, are to keep ${image}`
              : 'nothing changed: it was so already'
            : `${image} ${done} ${hosts} ${hosts === 1 ? 'host' : 'hosts'}`,
        );
      });
    });
  }
  cache
    .command('fsck')
    .description('compare the images in the store of this host with their manifests, byte by byte')
    .argument('[image...]', 'name@version; absent: all')
    .requiredOption('--dir <directory>', "the store's directory, PLINTH_IMAGE_DIR of the host agent")
    .option('--json', 'JSON for programs')
    .addHelpText(
      'after',
      '\nIt changes nothing, and ends with 1 when there is damage.\n\n' +
        'Example:\n  plinth cache fsck --dir /var/lib/plinth/host/image-store',
    )
    .action(async (images: string[], { dir, json = false }: { dir: string; json?: boolean }) => {
      const { fsck } = await import('./storage-fsck.js');
      if (!fsck(dir, images, json, 'host')) process.exitCode = 1;
    });
  withList(cache.command('ls'), HELD)
    .description('list what the stores of hosts hold, and what they are fetching')
    .addHelpText('after', '\nExample:\n  plinth cache ls --host host-1')
    .option('--host <host>', 'only this host; may be repeated', collect)
    .option('--image <image>', 'only this version, name@version')
    .action(async (options: HostOptions & ListOptions & { image?: string }) => {
      await withClient(options.nats, async (client) => {
        const rows = (await client.hosts())
          .filter(({ host }) => options.host?.includes(host) ?? true)
          .flatMap(({ host, images, transfers = [] }): CacheRow[] => [
            ...(images ?? []).map((image) => ({ host, image })),
            ...transfers.map((transfer) => ({ host, image: transfer.image, transfer })),
          ])
          .filter(({ image }) => options.image === undefined || image === options.image);
        await printList(options, rows, HELD);
      });
    });
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
