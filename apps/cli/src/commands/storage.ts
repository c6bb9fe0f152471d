import type { StorageStatus } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { ageCell, sizeCell } from '../output/table.js';

const NODES: List<StorageStatus> = {
  name: ({ node }) => node,
  columns: [
    { heading: 'NODE', cell: ({ node }) => node },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'DATACENTER', cell: ({ datacenter }) => datacenter },
    { heading: 'FREE', cell: ({ freeBytes }) => sizeCell(freeBytes) },
    { heading: 'OF', cell: ({ totalBytes }) => sizeCell(totalBytes) },
    { heading: 'VOLUMES', cell: ({ volumes }) => volumes },
    { heading: 'IMAGES', cell: ({ images }) => images.join(' ') },
    { heading: 'LAST SEEN', cell: ({ lastSeenAt }) => ageCell(lastSeenAt, Date.now()) },
  ],
};

export function register(program: Command): void {
  const storage = program.command('storage');
  storage
    .command('fsck')
    .description('compare the images in a storage directory of this machine with their manifests, byte by byte')
    .argument('[image...]', 'name@version; absent: all')
    .requiredOption('--dir <directory>', "the storage node's directory, PLINTH_STORAGE_DIR of its distributor")
    .option('--json', 'JSON for programs')
    .addHelpText(
      'after',
      '\nIt changes nothing, and ends with 1 when there is damage.\n\nExample:\n  plinth storage fsck --dir /srv/plinth',
    )
    .action(async (images: string[], { dir, json = false }: { dir: string; json?: boolean }) => {
      const { fsck } = await import('./storage-fsck.js');
      if (!fsck(dir, images, json, 'storage node')) process.exitCode = 1;
    });
  withList(storage, NODES)
    .description('list storage nodes with their images')
    .addHelpText('after', '\nExample:\n  plinth storage --json')
    .action(async (options: ListOptions) => {
      await withClient(options.nats, async (client) => {
        const nodes = await client.storage();
        await printList(options, nodes, NODES);
      });
    });
}
