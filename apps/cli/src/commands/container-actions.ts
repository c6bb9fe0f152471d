/** stop, start, restart, rm. */
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { actOnContainer, type ContainerActionName } from '@plinth/client';
import { ClientError, type PlinthClient } from '@plinth/client';
import { print } from '../output/print.js';
import { duration, type SharedOptions, withShared, withTenant } from './options.js';

interface ActionOptions extends SharedOptions {
  tenant: string;
  wait: boolean;
  keepData?: boolean;
  timeout: number;
}

type Result =
  | { readonly container: string; readonly ok: true; readonly id: string }
  | { readonly container: string; readonly ok: false; readonly reason: string; readonly message: string };

const DESCRIPTIONS: Readonly<Record<ContainerActionName, string>> = {
  stop: 'stop containers; they stay where they are',
  start: 'start stopped containers',
  restart: 'stop and start containers',
  rm: 'remove containers and their data',
};
const DONE: Readonly<Record<ContainerActionName, string>> = {
  stop: 'stopped',
  start: 'started',
  restart: 'restarted',
  rm: 'removed',
};

/** Adds one of the four commands. */
export function registerAction(program: Command, name: ContainerActionName): void {
  const command = withTenant(withShared(program.command(name)))
    .description(DESCRIPTIONS[name])
    .argument('<container...>', 'names or ids')
    .option('--no-wait', 'do not wait until it is done')
    .addOption(duration('--timeout <duration>', 'how long to wait', '90s'))
    .addHelpText('after', `\nExample:\n  plinth ${name} shop-1 shop-2`);
  if (name === 'rm') command.option('--keep-data', 'leave the data volumes on the storage nodes');
  command.action(async (containers: string[], options: ActionOptions) => {
    await withClient(options.nats, async (client) => {
      const results = await Promise.all(containers.map((container) => attempt(client, name, container, options)));
      const good = results.filter((result) => result.ok);
      if (options.json || good.length > 0)
        print(options, results, () =>
          good.map((result) => `${result.container} ${options.wait ? DONE[name] : 'requested'}`).join('\n'),
        );
      const bad = results.flatMap((result) => (result.ok ? [] : [result]));
      if (bad.length > 0)
        throw new ClientError(
          bad.map((result) => `${result.container}: ${result.message}`).join('\nplinth: '),
          bad[0]?.reason ?? 'failed',
        );
    });
  });
}

async function attempt(
  client: PlinthClient,
  name: ContainerActionName,
  container: string,
  options: ActionOptions,
): Promise<Result> {
  try {
    const details = await client.container(container, options.tenant);
    await actOnContainer(client, name, details, {
      keepData: options.keepData,
      timeoutMs: options.wait ? options.timeout : undefined,
    });
    return { container, ok: true, id: details.id };
  } catch (error) {
    if (error instanceof ClientError) return { container, ok: false, reason: error.reason, message: error.message };
    throw error;
  }
}
