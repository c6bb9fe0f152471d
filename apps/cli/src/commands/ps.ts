import { CONTAINER_STATES, type ContainerState, QUERIES } from '@plinth/contracts';
import { type Command, Option } from 'commander';
import { withClient } from '../connection.js';
import { parseName } from './arguments.js';
import { printPages } from '../output/print.js';
import { describeReached } from '../output/limits-view.js';
import { containerName } from '@plinth/names';
import { describePorts, domainOf } from '../output/network-view.js';
import { age } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

export function register(program: Command): void {
  withShared(program.command('ps'))
    .description('list containers')
    .option('--all', 'removed ones too')
    .option('--tenant <name>', 'of this tenant only', parseName)
    .option('--host <name>', 'on this host only', parseName)
    .option('--image <image>', 'on this image only, name or name@version')
    .addOption(new Option('--state <state>', 'in this state only').choices([...CONTAINER_STATES]))
    .addHelpText(
      'after',
      '\nHEALTH is starting, healthy or unhealthy, and - for a container that does not run or has no health ' +
        'check.\n' +
        'PORTS are those of the host, each with the port of the container that it leads to.\n' +
        'LIMIT REACHED is each limit that it has reached, and how long ago it last did: see plinth inspect.\n\n' +
        'Example:\n  plinth ps --tenant acme --json',
    )
    .action(
      async (
        options: SharedOptions & {
          all?: boolean;
          tenant?: string;
          host?: string;
          image?: string;
          state?: ContainerState;
        },
      ) => {
        await withClient(options.nats, async (client) => {
          const { all, tenant, host, image, state } = options;
          const domain = domainOf(process.env);
          await printPages(
            options,
            client.pages(QUERIES.containers, { all, tenant, host, image, state }),
            [
              'ID',
              'NAME',
              'TENANT',
              'STATE',
              'HEALTH',
              'HOST',
              'ADDRESS',
              'KNOWN AS',
              'PORTS',
              'IMAGE',
              'ASKED',
              'FALLBACK',
              'PID',
              'UP',
              'RESTARTS',
              'UPDATE',
              'LIMIT REACHED',
            ],
            (item) => [
              item.id.slice(0, 12),
              item.name,
              item.tenant,
              item.state,
              item.health,
              item.host,
              item.address?.ipv4 ?? item.addresses?.[0],
              item.address && containerName(item.name, item.tenant, domain),
              describePorts(item.ports),
              item.image,
              item.imageAsked,
              item.fallbackReason,
              item.pid,
              item.state === 'running' ? age(item.startedAt, Date.now()) : null,
              item.restarts,
              item.update && item.update.state !== 'updated' ? item.update.state : null,
              describeReached(item.limitsReached, Date.now()),
            ],
          );
        });
      },
    );
}
