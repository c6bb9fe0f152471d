/** `plinth rollout`: many containers to another image. */
import {
  QUERIES,
  ROLLOUT_APPROVALS,
  type RolloutApproval,
  type RolloutSelection,
  type RolloutWindow,
} from '@plinth/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withClient } from '../connection.js';
import { parseCount, parseList } from './arguments.js';
import { ClientError } from '@plinth/client';
import { actOnRollout, findRollout, type RolloutActionName, startRollout } from '@plinth/client';
import { print } from '../output/print.js';
import { type ListOptions, printList, withList } from '../output/list.js';
import { printRollout, ROLLOUTS, watchRollout } from '../output/rollout-view.js';
import { duration, type SharedOptions, withShared } from './options.js';

interface StartOptions extends SharedOptions {
  select: RolloutSelection;
  to: string;
  canary?: number;
  batch?: string;
  maxDownPerHost?: number;
  maxDownPerTenant?: number;
  maxFailures?: number;
  successPercent?: number;
  onFailure?: 'revert' | 'pause';
  approval?: RolloutApproval;
  window?: string;
  windowDuration?: number;
  windowMinutes?: number;
  windowTimezone?: string;
  soak?: number;
  stable?: number;
  deadline?: number;
  staging?: number;
  snapshotData?: boolean;
  wait?: boolean;
}

const ACTIONS: Readonly<Record<RolloutActionName, string>> = {
  pause: 'begin nothing new; switches in progress end by themselves',
  resume: 'let a paused rollout go on',
  approve: 'let a rollout that waits for it go on',
  abort: 'end it where it is; what was switched stays',
  revert: 'go back with everything that was switched, also after its end',
};

export function register(program: Command): void {
  const rollout = program
    .command('rollout')
    .description('move many containers to another image, in batches')
    .action(() => rollout.help({ error: true }));
  withShared(rollout.command('start'))
    .description('choose containers and move them')
    .requiredOption(
      '--select <field=value,…>',
      'image, tenant, host, storageNode, datacenter, follow, container; repeatable, all have to match',
      parseSelection,
    )
    .requiredOption('--to <image>', 'name (its default version), name@version, or known-good')
    .option('--canary <n>', 'containers in the first batch; 0: none (default: 1)', parseCount)
    .option('--batch <n|n%>', 'containers in each further batch (default: 10%)')
    .option('--max-down-per-host <n>', 'in progress at once (default: one batch)', parseCount)
    .option('--max-down-per-tenant <n>', 'in progress at once (default: one batch)', parseCount)
    .option('--max-failures <n>', 'failures that halt it (default: 1)', parseCount)
    .option('--success-percent <n>', 'share of a batch that has to succeed', parseCount)
    .addOption(
      new Option('--on-failure <what>', 'what a halted rollout does (default: revert)').choices(['revert', 'pause']),
    )
    .addOption(
      new Option('--approval <when>', 'what a person has to approve (default: none)').choices([...ROLLOUT_APPROVALS]),
    )
    .option('--window <cron>', 'when new switches may begin, five fields such as "0 2 * * 1-5"')
    .addOption(duration('--window-duration <duration>', 'how long the window stays open (default: 1h)'))
    .addOption(new Option('--window-minutes <n>', 'as --window-duration, in minutes').argParser(parseCount).hideHelp())
    .option('--window-timezone <zone>', 'such as Europe/Vienna (default: UTC)')
    .addOption(duration('--soak <duration>', 'how long each has to stay healthy to be known good (default: 60s)'))
    .addOption(duration('--stable <duration>', 'how long each has to stay up without a health check (default: 5s)'))
    .addOption(
      duration(
        '--deadline <duration>',
        'for one switch beside gate and soak time, and for the way back (default: 10m)',
      ),
    )
    .addOption(
      duration(
        '--staging <duration>',
        'for hosts and storage nodes to get the image before the first batch (default: 30m)',
      ),
    )
    .option('--snapshot-data', 'copy the data first, and restore the copy where the update fails')
    .option('--wait', 'watch it to its end; exit code 0 only when it is completed')
    .addHelpText(
      'after',
      '\nExample:\n  plinth rollout start --select image=debian-12,tenant=acme --to debian-12@v2 --batch 20% ' +
        '--soak 5m --wait',
    )
    .action(async (options: StartOptions) => {
      await withClient(options.nats, async (client) => {
        const id = await startRollout(client, requestOf(options));
        if (options.wait) {
          if (!options.json) process.stderr.write(`rollout ${id}\n`);
          const end = await watchRollout(client, id, options.json ?? false);
          await printRollout(options, client, end);
          if (end.state !== 'completed')
            throw new ClientError(`the rollout was not completed, it is ${end.state}`, `rollout-${end.state}`);
          return;
        }
        print(
          options,
          { ok: true, rolloutId: id },
          () => `rollout ${id} has begun\nnext: plinth rollout watch ${id.slice(0, 12)}`,
        );
      });
    });

  withList(rollout.command('ls'), ROLLOUTS)
    .description('list rollouts')
    .addHelpText('after', '\nExample:\n  plinth rollout ls --all')
    .option('--all', 'also those that have ended')
    .action(async (options: ListOptions & { all?: boolean }) => {
      await withClient(options.nats, async (client) => {
        const rollouts = await client.list(QUERIES.rollouts, { all: options.all });
        await printList(options, rollouts, ROLLOUTS);
      });
    });

  withShared(rollout.command('show'))
    .description('one rollout: what it waits for, and its containers')
    .addHelpText('after', '\nExample:\n  plinth rollout show 3f9a2c')
    .argument('<rollout>', 'id, or its beginning')
    .action(async (text: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const details = await findRollout(client, text);
        await printRollout(options, client, details);
      });
    });

  withShared(rollout.command('watch'))
    .description('follow a rollout to its end; exit code 0 only when it is completed')
    .addHelpText('after', '\nExample:\n  plinth rollout watch 3f9a2c')
    .argument('<rollout>', 'id, or its beginning')
    .action(async (text: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const { id } = await findRollout(client, text);
        const end = await watchRollout(client, id, options.json ?? false);
        await printRollout(options, client, end);
        if (end.state !== 'completed')
          throw new ClientError(`the rollout was not completed, it is ${end.state}`, `rollout-${end.state}`);
      });
    });

  for (const [name, description] of Object.entries(ACTIONS) as [RolloutActionName, string][]) {
    withShared(rollout.command(name))
      .description(description)
      .addHelpText('after', `\nExample:\n  plinth rollout ${name} 3f9a2c`)
      .argument('<rollout>', 'id, or its beginning')
      .action(async (text: string, options: SharedOptions) => {
        await withClient(options.nats, async (client) => {
          const { id } = await findRollout(client, text);
          await actOnRollout(client, name, id);
          print(
            options,
            { ok: true, rolloutId: id },
            () => `${name} accepted\nnext: plinth rollout watch ${id.slice(0, 12)}`,
          );
        });
      });
  }
}

/** @throws Error when it is not whole minutes */
export function windowMinutes({
  windowDuration,
  windowMinutes: minutes,
}: Pick<StartOptions, 'windowDuration' | 'windowMinutes'>): number {
  if (windowDuration === undefined) return minutes ?? 60;
  if (windowDuration % 60_000 !== 0 || windowDuration === 0)
    throw new Error('--window-duration is whole minutes, such as 90m or 2h');
  return windowDuration / 60_000;
}

function requestOf(options: StartOptions): Parameters<typeof startRollout>[1] {
  const seconds = (milliseconds: number | undefined): number | undefined =>
    milliseconds === undefined ? undefined : milliseconds / 1000;
  const window: RolloutWindow | undefined =
    options.window === undefined
      ? undefined
      : { opens: options.window, minutes: windowMinutes(options), timezone: options.windowTimezone };
  const {
    select,
    to,
    canary,
    batch,
    maxDownPerHost,
    maxDownPerTenant,
    maxFailures,
    successPercent,
    onFailure,
    approval,
    snapshotData,
  } = options;
  return {
    select,
    to,
    canary,
    batch,
    maxDownPerHost,
    maxDownPerTenant,
    maxFailures,
    successPercent,
    onFailure,
    approval,
    window,
    soakSeconds: seconds(options.soak),
    stableSeconds: seconds(options.stable),
    deadlineSeconds: options.deadline === undefined ? undefined : Math.ceil(options.deadline / 1000),
    stagingSeconds: options.staging === undefined ? undefined : Math.ceil(options.staging / 1000),
    snapshotData,
  };
}

const FIELDS: Readonly<Record<string, keyof RolloutSelection>> = {
  image: 'image',
  tenant: 'tenant',
  host: 'host',
  storageNode: 'storageNode',
  'storage-node': 'storageNode',
  datacenter: 'datacenter',
  follow: 'follow',
  container: 'containers',
};

/** `image=debian-12,tenant=acme`; collects over repetitions, and containers over commas. */
export function parseSelection(text: string, before: RolloutSelection = {}): RolloutSelection {
  const selection: Record<string, unknown> = { ...before };
  for (const item of parseList(text)) {
    const equals = item.indexOf('=');
    const [name, value] = [item.slice(0, equals), item.slice(equals + 1)];
    const field = equals > 0 && value !== '' ? FIELDS[name] : undefined;
    if (field === undefined)
      throw new InvalidArgumentError(`write field=value with one of ${Object.keys(FIELDS).join(', ')}`);
    if (field === 'containers')
      selection['containers'] = [...((selection['containers'] as string[] | undefined) ?? []), value];
    else selection[field] = value;
  }
  return selection as RolloutSelection;
}
