import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { print } from '../output/print.js';
import { age, bytes, table } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

export function register(program: Command): void {
  withShared(program.command('storage'))
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
