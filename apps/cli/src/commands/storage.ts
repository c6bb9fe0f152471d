import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { print } from '../output/print.js';
import { age, bytes, table } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

export function register(program: Command): void {
  const storage = program.command('storage');
  storage
    .command('fsck')
    .description('compare the images in a storage directory of this machine with their manifests, byte by byte')
    .argument('[image...]', 'name@version; absent: all')
    .requiredOption('--dir <directory>', "the storage node's directory, PLINTH_STORAGE_DIR of its distributor")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nIt changes nothing, and ends with 1 when there is damage.\n\nExample:\n  plinth storage fsck --dir /srv/plinth',
    )
    .action(async (images: string[], { dir, json = false }: { dir: string; json?: boolean }) => {
      const { fsck } = await import('./storage-fsck.js');
      if (!fsck(dir, images, json, 'storage node')) process.exitCode = 1;
    });
  withShared(storage)
    .description('list storage nodes with their images')
    .addHelpText('after', '\nExample:\n  plinth storage --json')
    .action(async (options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const nodes = await client.storage();
        print(options, nodes, () =>
          table(
            ['NODE', 'STATE', 'DATACENTER', 'FREE', 'OF', 'VOLUMES', 'IMAGES', 'LAST SEEN'],
            nodes.map((node) => [
              node.node,
              node.state,
              node.datacenter,
              bytes(node.freeBytes),
              bytes(node.totalBytes),
              node.volumes,
              node.images.join(' '),
              age(node.lastSeenAt, Date.now()),
            ]),
          ),
        );
      });
    });
}
