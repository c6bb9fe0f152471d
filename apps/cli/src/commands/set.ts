import type {
  Bandwidth,
  ContainerChanged,
  EgressPolicy,
  IoLimits,
  PortRequest,
  ResettablePart,
} from '@plinth/contracts';
import { changeContainer, type ChangeRequest } from '@plinth/client';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { describePorts } from '../output/network-view.js';
import { print } from '../output/print.js';
import { parseCount, parsePositive, parseSize } from './arguments.js';
import {
  type LimitOptions,
  LIMITS_HELP,
  limitsOf,
  parseBandwidth,
  parseDisk,
  parseIoMax,
  parseIoWeight,
  parseOpenFiles,
} from './limit-arguments.js';
import { EGRESS_HELP, NETWORK_HELP, parseEgress, parsePublish } from './network-arguments.js';
import { duration, type SharedOptions, withShared, withTenant } from './options.js';

const NONE = 'none';

export interface SetOptions extends Omit<LimitOptions, 'ioMax'> {
  ioMax?: IoLimits | typeof NONE;
  bandwidth?: Bandwidth | typeof NONE;
  publish?: PortRequest[];
  unpublish?: PortRequest[];
  egress?: EgressPolicy;
  restart?: boolean;
}

interface Options extends SetOptions, SharedOptions {
  tenant: string;
  wait: boolean;
  timeout: number;
}

export function register(program: Command): void {
  withTenant(withShared(program.command('set')))
    .description('change ports, egress and limits of a container, while it runs where that is possible')
    .argument('<container>', 'name or id')
    .option('--publish <[host:]port[:container]>', 'one more port, repeatable; see below', parsePublish)
    .option('--unpublish <[host:]port[:container]>', 'no longer this port of the container, repeatable', parsePublish)
    .option('--egress <policy>', EGRESS_HELP, parseEgress)
    .option(
      '--bandwidth <rate>',
      'what it receives and sends, such as 100mbit, or none; see below',
      orNone(parseBandwidth),
    )
    .option('--memory <size>', 'such as 256M', parseSize)
    .option('--cpus <n>', 'cores, such as 0.5', parsePositive)
    .option('--pids <n>', 'processes and threads', parseCount)
    .option('--disk <size>', 'its data volume, such as 1G; only when it was made with a limit', parseDisk)
    .option('--open-files <n>', 'files that one process may have open; with its next start', parseOpenFiles)
    .option('--io-weight <n>', 'share of the disks, 10 to 1000; if its host can', parseIoWeight)
    .option('--io-max <maxima>', 'input and output on disks, or none, also for the weight', orNone(parseIoMax))
    .option('--restart', 'start it again, so that everything is in effect')
    .option('--no-wait', 'do not wait for its host')
    .addOption(duration('--timeout <duration>', 'how long to wait', '60s'))
    .addHelpText(
      'after',
      '\nWhat is not named stays as it is. What can take effect while it runs does; the answer says what waits for a start.\n' +
        `${NETWORK_HELP}\n${LIMITS_HELP}\n` +
        '\nExamples:\n  plinth set shop-1 --memory 512M --cpus 2\n  plinth set web-1 --publish 8443:443 --unpublish 80',
    )
    .action(async (name: string, options: Options, command: Command) => {
      const request = changeOf(options);
      if (Object.keys(request).length === 0)
        command.error('error: name something to change, such as --memory 512M', { exitCode: 2 });
      await withClient(options.nats, async (client) => {
        const { id } = await client.container(name, options.tenant);
        const changed = await changeContainer(client, id, request, options.wait ? options.timeout : undefined);
        if (!changed) {
          print(options, { ok: true, container: id }, () => `requested; plinth inspect ${name} shows the config`);
          return;
        }
        print(options, { ok: true, ...changed }, () => sentence(name, changed, options));
      });
    });
}

/** The request; nothing but what is asked for. */
export function changeOf(options: SetOptions): ChangeRequest {
  const { ioMax, bandwidth, publish, unpublish, egress } = options;
  const limits = limitsOf({ ...options, ioMax: ioMax === NONE ? undefined : ioMax });
  const reset: ResettablePart[] = [
    ...(ioMax === NONE ? (['io'] as const) : []),
    ...(bandwidth === NONE ? (['bandwidth'] as const) : []),
  ];
  return {
    ...(limits && { limits }),
    ...(publish && { publish }),
    ...(unpublish && { unpublish }),
    ...(egress && { egress }),
    ...(bandwidth !== undefined && bandwidth !== NONE && { bandwidth }),
    ...(reset.length > 0 && { reset }),
    ...(options.restart && { restart: true }),
  };
}

/** @param asked ports are shown when some were asked for */
export function sentence(
  name: string,
  { applied, pending, ports }: Pick<ContainerChanged, 'applied' | 'pending' | 'ports'>,
  asked: Pick<SetOptions, 'publish' | 'unpublish' | 'restart'>,
): string {
  const now = asked.restart
    ? `${name} was started again${applied.length > 0 ? `, with ${applied.join(', ')} changed` : ''}`
    : applied.length > 0
      ? `${name}: ${applied.join(', ')} changed, in effect now`
      : pending.length > 0
        ? `${name}: changed, and not in effect yet`
        : `${name} is so already`;
  const later = pending.map(({ part, message }) => `\n${part} is not in effect: ${message}`).join('');
  const shown = asked.publish || asked.unpublish ? `\nports ${describePorts(ports) ?? 'none'}` : '';
  return `${now}${later}${shown}`;
}

function orNone<T>(parse: (text: string) => T): (text: string) => T | typeof NONE {
  return (text) => (text === NONE ? NONE : parse(text));
}
