import { STREAMS } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../client/connection.js';
import { print } from '../output/print.js';
import { table } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

export function register(program: Command): void {
  withShared(program.command('status'))
    .description('the system at a glance')
    .action(async (options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const [hosts, storage, images, containers] = await Promise.all([client.hosts(), client.storage(), client.images(), client.containers()]);
        const jsm = await client.connection.jetstreamManager();
        const deadLetters = (await jsm.streams.info(STREAMS.deadLetters.name)).state.messages;
        const states: Record<string, number> = {};
        for (const container of containers) states[container.state] = (states[container.state] ?? 0) + 1;
        const defaultImage = images.find((image) => image.defaultOs);
        const summary = {
          hosts: { ready: hosts.filter((host) => host.state === 'ready').length, lost: hosts.filter((host) => host.state === 'lost').length },
          storageNodes: { ready: storage.filter((node) => node.state === 'ready').length, lost: storage.filter((node) => node.state === 'lost').length },
          images: images.length,
          defaultImage: defaultImage ? `${defaultImage.name}@${defaultImage.version}` : null,
          containers: states,
          deadLetters,
        };
        print(options, summary, () =>
          table(
            ['WHAT', 'VALUE'],
            [
              ['hosts', `${summary.hosts.ready} ready, ${summary.hosts.lost} lost`],
              ['storage nodes', `${summary.storageNodes.ready} ready, ${summary.storageNodes.lost} lost`],
              ['image versions', summary.images],
              ['default image', summary.defaultImage ?? 'none: plinth image activate <name>@<version>'],
              ['containers', Object.entries(states).map(([state, count]) => `${count} ${state}`).join(', ') || 'none'],
              ['dead letters', deadLetters],
            ],
          ),
        );
      });
    });
}
