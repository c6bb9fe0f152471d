/** The options of a request for a container: of plinth run, which sends it, and of plinth place, which asks where it would go. */
import {
  type AffinityRule,
  type Bandwidth,
  CONTAINER_NETWORKS,
  type ContainerRequested,
  type EgressPolicy,
  type LabelConstraint,
  type PortRequest,
  type SpreadRule,
} from '@plinth/contracts';
import { ClientError } from '@plinth/client';
import { type Command, Option } from 'commander';
import { parseCount, parseEnv, parseName, parsePositive, parseRestart, parseSize } from './arguments.js';
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
import { EGRESS_HELP, NETWORK_HELP, parseEgress, parsePublish, PUBLISH_HELP } from './network-arguments.js';
import { duration, type SharedOptions } from './options.js';
import { ON_HELP, parseAffinity, parseConstraint, parseSpread, PLACEMENT_HELP } from './placement-arguments.js';

/** What the help of such a command explains below its options. */
export const REQUEST_HELP = `${NETWORK_HELP}\n${LIMITS_HELP}\n${PLACEMENT_HELP}`;

/** Everything that a request for a container is made of. */
export interface RequestOptions extends SharedOptions, LimitOptions {
  name?: string;
  tenant?: string;
  env?: Record<string, string>;
  tz?: string;
  sw?: string;
  bandwidth?: Bandwidth;
  strict?: boolean;
  datacenter?: string;
  on?: LabelConstraint[];
  group?: string;
  spread?: SpreadRule;
  near?: AffinityRule;
  apart?: AffinityRule;
  restart?: object;
  network?: string;
  hostUsers?: boolean;
  publish?: PortRequest[];
  egress?: EgressPolicy;
  stopSignal?: string;
  stopGrace?: number;
  command?: string[];
  healthCmd?: string;
  healthInterval?: number;
  healthTimeout?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
  follow?: string;
}

/** The request's operands and options. */
export function withRequest(command: Command): Command {
  return command
    .argument('[image]', 'name or name@version; absent: the default image')
    .argument(
      '[command...]',
      "what to run, after --; it follows the image's entry point if there is one; absent: the image's command",
    )
    .option('--name <name>', 'unique per tenant; absent: generated', parseName)
    .option('--tenant <name>', 'absent: default', parseName)
    .option('--env <NAME=VALUE>', 'environment variable, repeatable', parseEnv)
    .option('--tz <zone>', 'IANA time zone, such as Europe/Vienna')
    .option('--sw <path>', 'path below the software repository, read-only at /sw')
    .option('--memory <size>', 'such as 256M', parseSize)
    .option('--cpus <n>', 'cores, such as 0.5', parsePositive)
    .option('--pids <n>', 'processes and threads', parseCount)
    .option('--disk <size>', 'its data volume, such as 1G; only where a host can hold it to that', parseDisk)
    .option('--open-files <n>', 'files that one process may have open', parseOpenFiles)
    .option('--bandwidth <rate>', 'what it receives and sends, such as 100mbit; see below', parseBandwidth)
    .option('--io-weight <n>', 'share of the disks, 10 to 1000; on hosts that can', parseIoWeight)
    .option('--io-max <maxima>', 'input and output on disks, on hosts that can; see below', parseIoMax)
    .option('--strict', 'reject instead of falling back to the default image')
    .option('--datacenter <name>', 'on a host of this data centre')
    .option('--on <constraint>', ON_HELP, parseConstraint)
    .option('--group <name>', 'group of its tenant, for the rules below', parseName)
    .option('--spread <label>', 'evenly with its group over hosts, racks or data centres; see below', parseSpread)
    .option('--near <group>', 'where containers of the group are; see below', parseAffinity)
    .option('--apart <group>', 'where none of the group is; see below', parseAffinity)
    .option('--restart <policy>', 'always, never, on-failure or on-failure:<times>', parseRestart)
    .addOption(
      new Option(
        '--network <kind>',
        "an address of its own, a loopback only, or the host's; absent: container where the host offers it",
      ).choices([...CONTAINER_NETWORKS]),
    )
    .option('--host-users', "root in it is the host's root; only where the host allows that")
    .option('--publish <[host:]port[:container]>', PUBLISH_HELP, parsePublish)
    .option('--egress <policy>', EGRESS_HELP, parseEgress)
    .option('--stop-signal <signal>', 'such as SIGINT')
    .addOption(duration('--stop-grace <duration>', 'between the stop signal and SIGKILL (default: 10s)'))
    .option('--health-cmd <command>', 'for /bin/sh in the container; ends with 0 when it does its work')
    .addOption(duration('--health-interval <duration>', 'between two checks (default: 10s)'))
    .addOption(duration('--health-timeout <duration>', 'after which a check is killed and has failed (default: 5s)'))
    .option('--health-retries <n>', 'failed checks in a row that make it unhealthy (default: 3)', parseCount)
    .addOption(
      duration(
        '--health-start-period <duration>',
        'after the start, in which failed checks do not count (default: 0s)',
      ),
    )
    .addOption(
      new Option('--follow <what>', 'move with the default image when another one is activated').choices(['default']),
    )
    .option('--command <words...>', 'what to run, up to the next option; use -- when words begin with -');
}

/** The words after `--` are the command, also when no image is named before it. */
export function splitOperands(
  operands: readonly string[],
  argv: readonly string[],
): { readonly image?: string; readonly words: readonly string[] } {
  const dashes = argv.indexOf('--');
  const after = dashes < 0 ? 0 : argv.length - dashes - 1;
  const before = operands.slice(0, operands.length - after);
  return { image: before[0], words: [...before.slice(1), ...operands.slice(operands.length - after)] };
}

/** Ends the program when they do not go together. @returns the request */
export function requestFrom(command: Command, options: RequestOptions): ContainerRequested {
  const { image, words } = splitOperands(command.args, process.argv);
  if (words.length > 0 && options.command)
    command.error('error: give the command either with --command or after --, not both', { exitCode: 2 });
  const needing = options.publish
    ? '--publish'
    : options.egress
      ? '--egress'
      : options.bandwidth
        ? '--bandwidth'
        : undefined;
  if (needing && options.network !== undefined && options.network !== 'container')
    command.error(`error: ${needing} needs --network container, or none, not ${options.network}`, { exitCode: 2 });
  if (options.spread && options.group === undefined)
    command.error('error: --spread needs --group: the containers that are spread', { exitCode: 2 });
  return requestOf(image, words.length > 0 ? words : options.command, options) as ContainerRequested;
}

function requestOf(image: string | undefined, command: readonly string[] | undefined, options: RequestOptions): object {
  return {
    name: options.name,
    tenant: options.tenant,
    image,
    strict: options.strict,
    command,
    env: options.env,
    timezone: options.tz,
    software: options.sw,
    limits: limitsOf(options),
    restart: options.restart,
    datacenter: options.datacenter,
    constraints: options.on,
    group: options.group,
    spread: options.spread,
    affinity: options.near,
    antiAffinity: options.apart,
    network: options.network,
    hostUsers: options.hostUsers,
    ports: options.publish,
    egress: options.egress,
    bandwidth: options.bandwidth,
    stopSignal: options.stopSignal,
    stopGraceSeconds: options.stopGrace === undefined ? undefined : options.stopGrace / 1_000,
    health: healthOf(options),
    follow: options.follow,
  };
}

function healthOf(options: RequestOptions): object | undefined {
  const seconds = (milliseconds: number | undefined): number | undefined =>
    milliseconds === undefined ? undefined : milliseconds / 1000;
  const more = {
    intervalSeconds: seconds(options.healthInterval),
    timeoutSeconds: seconds(options.healthTimeout),
    retries: options.healthRetries,
    startPeriodSeconds: seconds(options.healthStartPeriod),
  };
  if (options.healthCmd !== undefined) return { exec: ['/bin/sh', '-c', options.healthCmd], ...more };
  if (Object.values(more).some((value) => value !== undefined))
    throw new ClientError('the options --health-… need a check: --health-cmd <command>', 'invalid-request');
  return undefined;
}
