/** `plinth rebalance`: moves that even out hosts, proposed and carried out. */
import { createInterface } from 'node:readline/promises';
import {
  cancelRebalance,
  ClientError,
  escapeControls,
  type PlinthClient,
  startRebalance,
  watchRebalance,
} from '@plinth/client';
import { MOST_REBALANCE_MOVES, QUERIES, REBALANCE_DEFAULTS, type RebalanceDetails } from '@plinth/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withClient } from '../connection.js';
import { print } from '../output/print.js';
import { costText, countsText, describePlan, describeRebalance } from '../output/rebalance-view.js';
import { parseCount, parseName } from './arguments.js';
import { duration, type SharedOptions, withShared } from './options.js';

interface RebalanceOptions extends SharedOptions {
  apply?: boolean;
  yes?: boolean;
  datacenter?: string;
  dataCenter?: string;
  tenant?: string;
  threshold?: number;
  maxMoves?: number;
  cooldown?: number;
  atOnce?: number;
  maxFailures?: number;
  wait: boolean;
  timeout: number;
}

const MINUTE_MS = 60_000;
const MOST_COOLDOWN_MINUTES = 43_200;

const RULE = `
First come containers for which what they asked for no longer holds, since labels, racks or other containers changed:
--on, --near, --apart, --spread; those that were required first. Then the hosts of each data centre are evened out, by
what is reserved of memory, cores or the number of containers, whichever is scarcest: when two differ by more than
--threshold percentage points, containers move off the fuller ones until they differ by half of it, or no move helps.

A move stops the container, and starts it on the other host with the same data. These stay: containers that are not
always started again (--restart never, on-failure), are not healthy, are being updated, are in a rollout, or were moved
within the cooldown; and all that is on a cordoned host. Of a group one container is down at a time.

Without --apply nothing is changed. With it the moves are planned again when it is accepted, and carried out by the
provisioner, whatever happens to this command: plinth rebalance show says how far it is, plinth rebalance cancel ends it.
Exit code with --apply: 0 when every move has had its turn or nothing has to move, 1 otherwise.`;

/** A whole number of 1 to so many. */
const within =
  (most: number) =>
  (text: string): number => {
    const value = parseCount(text);
    if (value < 1 || value > most) throw new InvalidArgumentError(`a whole number of 1 to ${most} is needed`);
    return value;
  };

function parseThreshold(text: string): number {
  return within(100)(text.replace(/ ?%$/, ''));
}

export function register(program: Command): void {
  const { thresholdPercent, maxMoves, atOnce, maxFailures, cooldownMinutes } = REBALANCE_DEFAULTS;
  const rebalance = withShared(program.command('rebalance'))
    .description('propose moves by which rules hold again and hosts even out; --apply carries them out')
    .enablePositionalOptions()
    .option('--apply', 'carry them out, after a question')
    .option('--yes', 'do not ask')
    .option('--datacenter <name>', 'only there (default: each data centre by itself)', parseName)
    .addOption(new Option('--data-center <name>', 'the same as --datacenter').argParser(parseName).hideHelp())
    .option('--tenant <name>', 'move only containers of this tenant', parseName)
    .option(
      '--threshold <percent>',
      `percentage points by which hosts may differ (default: ${thresholdPercent})`,
      parseThreshold,
    )
    .option('--max-moves <n>', `containers that are moved at most (default: ${maxMoves})`, within(MOST_REBALANCE_MOVES))
    .option('--at-once <n>', `containers on their way at the same time (default: ${atOnce})`, within(100))
    .option(
      '--max-failures <n>',
      `moves that fail in a row before it stops (default: ${maxFailures})`,
      within(MOST_REBALANCE_MOVES),
    )
    .addOption(duration('--cooldown <duration>', `leave what was moved less long ago (default: ${cooldownMinutes}m)`))
    .option('--no-wait', 'with --apply: return when it has begun')
    .addOption(duration('--timeout <duration>', 'with --apply: how long to wait; it goes on after it', '1h'))
    .addHelpText(
      'after',
      `${RULE}\n\nExamples:\n  plinth rebalance\n  plinth rebalance --apply --max-moves 5 --at-once 2\n` +
        '  plinth rebalance --tenant acme --threshold 10 --json',
    )
    .action(async (options: RebalanceOptions, command: Command) => {
      const wanted = wantedFrom(options, command);
      await withClient(options.nats, async (client) => {
        if (options.apply) await apply(client, options, wanted, command);
        else {
          const plan = await client.query(QUERIES.rebalancePlan, wanted);
          print(options, plan, () => describePlan(plan, `${typed(options)} --apply`));
        }
      });
    });
  withShared(rebalance.command('show'))
    .description('how far a rebalance is: its moves, what they wait for, and why some were skipped or failed')
    .argument('[rebalance]', 'id, or its beginning where it is the newest (default: the newest)')
    .addHelpText('after', '\nExample:\n  plinth rebalance show')
    .action(async (text: string | undefined, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const found = await find(client, text);
        print(options, found, () => describeRebalance(found));
      });
    });
  withShared(rebalance.command('cancel'))
    .description('begin no further move; those in progress end by themselves, and what was moved stays')
    .argument('[rebalance]', 'id, or its beginning (default: the one that runs)')
    .addHelpText('after', '\nExample:\n  plinth rebalance cancel')
    .action(async (text: string | undefined, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const { id } = await find(client, text);
        await cancelRebalance(client, id);
        print(
          options,
          { ok: true, rebalanceId: id },
          () => 'no further move is begun\nnext: plinth rebalance show says what is in progress',
        );
      });
    });
}

type Wanted = Pick<RebalanceDetails['request'], 'datacenter' | 'tenant' | 'thresholdPercent' | 'maxMoves'> & {
  cooldownMinutes?: number;
};

function wantedFrom(
  { datacenter, dataCenter, tenant, threshold, maxMoves, cooldown }: RebalanceOptions,
  command: Command,
): Wanted {
  const cooldownMinutes = cooldown === undefined ? undefined : Math.ceil(cooldown / MINUTE_MS);
  if (cooldownMinutes !== undefined && cooldownMinutes > MOST_COOLDOWN_MINUTES)
    command.error('error: --cooldown is at most 30d', { exitCode: 2 });
  return { datacenter: datacenter ?? dataCenter, tenant, thresholdPercent: threshold, cooldownMinutes, maxMoves };
}

async function apply(client: PlinthClient, options: RebalanceOptions, wanted: Wanted, command: Command): Promise<void> {
  const plan = await client.query(QUERIES.rebalancePlan, wanted);
  if (plan.moves.length === 0)
    return print(options, { ok: true, rebalanceId: null, plan }, () => describePlan(plan, ''));
  if (!options.yes) {
    if (!process.stdin.isTTY || options.json)
      command.error('error: nobody can be asked here: --apply needs --yes; plinth rebalance shows what it would do', {
        exitCode: 2,
      });
    process.stderr.write(`${escapeControls(describePlan(plan, `${typed(options)} --apply`))}\n`);
    if (!(await isAgreed(`${costText(plan.moves)}. Begin? [y/N] `)))
      throw new ClientError('nothing was changed', 'declined');
  }
  const { atOnce, maxFailures } = options;
  const id = await startRebalance(client, { ...wanted, atOnce, maxFailures });
  if (!options.wait)
    return print(
      options,
      { ok: true, rebalanceId: id },
      () => `rebalance ${id} has begun\nnext: plinth rebalance show says how far it is`,
    );
  const end = await watchRebalance(client, id, options.timeout, (details) => {
    if (!options.json) process.stderr.write(`${escapeControls(progressOf(details))}\n`);
  });
  print(options, end, () => describeRebalance(end));
  if (end.state !== 'completed' || end.counts.failed > 0)
    throw new ClientError(
      end.state === 'completed'
        ? `${end.counts.failed} of ${end.counts.total} moves failed`
        : `the rebalance is ${end.state}: ${end.message ?? ''}`,
      `rebalance-${end.state}`,
    );
}

function progressOf({ state, counts, moves }: RebalanceDetails): string {
  const now = moves.filter(({ phase }) => phase === 'moving');
  const each = now.map(({ name, message }) => `${name}: ${message ?? ''}`);
  return [`${state}  ${countsText(counts)}`, ...each].join('; ');
}

async function isAgreed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(escapeControls(question))).trim());
  } finally {
    terminal.close();
  }
}

/** @throws ClientError `rebalance-not-found` */
async function find(client: PlinthClient, text: string | undefined): Promise<RebalanceDetails> {
  if (text !== undefined && /^[0-9a-f]{32}$/.test(text)) return client.query(QUERIES.rebalance, { id: text });
  const newest = await client.query(QUERIES.rebalance, {});
  if (text === undefined || (/^[0-9a-f]{4,31}$/.test(text) && newest.id.startsWith(text))) return newest;
  throw new ClientError(
    `there is no rebalance ${text}; the newest is ${newest.id.slice(0, 12)}, an older one needs its whole id`,
    'rebalance-not-found',
  );
}

/** The command again, as it was typed. */
function typed({ datacenter, dataCenter, tenant, threshold, maxMoves, cooldown }: RebalanceOptions): string {
  const given: [string, string | number | undefined][] = [
    ['--datacenter', datacenter ?? dataCenter],
    ['--tenant', tenant],
    ['--threshold', threshold],
    ['--max-moves', maxMoves],
    ['--cooldown', cooldown === undefined ? undefined : `${Math.ceil(cooldown / MINUTE_MS)}m`],
  ];
  const words = given.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag} ${value}`]));
  return ['plinth rebalance', ...words].join(' ');
}
