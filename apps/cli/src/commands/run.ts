import { type ContainerStarted, SUBJECTS } from '@plinth/contracts';
import { type Command, Option } from 'commander';
import { withClient } from '../client/connection.js';
import { parseCount, parseEnv, parsePositive, parseRestart, parseSize } from '../client/inputs.js';
import { ClientError, type Fact } from '../client/plinth-client.js';
import { print } from '../output/print.js';
import { escapeControls } from '../output/escape.js';
import { type SharedOptions, withShared } from './options.js';

interface RunOptions extends SharedOptions {
  name?: string;
  tenant?: string;
  env?: Record<string, string>;
  tz?: string;
  sw?: string;
  memory?: number;
  cpus?: number;
  pids?: number;
  strict?: boolean;
  datacenter?: string;
  restart?: object;
  network?: string;
  stopSignal?: string;
  stopGrace?: number;
  command?: string;
  requestId?: string;
  wait?: boolean;
  detach?: boolean;
  timeout: number;
}

export function register(program: Command): void {
  withShared(program.command('run'))
    .description('request a container and wait until it runs')
    .argument('[image]', 'name or name@version; absent: the default image')
    .argument('[command...]', 'what to run, after --; absent: the image decides')
    .option('--name <name>', 'unique per tenant; absent: generated')
    .option('--tenant <name>')
    .option('--env <NAME=VALUE>', 'environment variable, repeatable', parseEnv)
    .option('--tz <zone>', 'IANA time zone')
    .option('--sw <path>', 'path below the software repository, read-only at /sw')
    .option('--memory <size>', 'such as 256M', parseSize)
    .option('--cpus <n>', 'cores', parsePositive)
    .option('--pids <n>', 'processes', parseCount)
    .option('--strict', 'reject instead of falling back to the default image')
    .option('--datacenter <name>')
    .option('--restart <policy>', 'always, never, on-failure or on-failure:<times>', parseRestart)
    .addOption(new Option('--network <kind>').choices(['isolated', 'host']))
    .option('--stop-signal <signal>')
    .option('--stop-grace <seconds>', '', parseCount)
    .option('--command <word>', 'what to run, one word; use -- for more')
    .option('--request-id <id>', 'the same id twice gives one container')
    .option('--wait', 'wait until it runs (the default)')
    .option('--detach', 'do not wait')
    .option('--timeout <seconds>', 'how long to wait', parseCount, 60)
    .addHelpText('after', '\nExample:\n  plinth run debian-12@v1 --name shop-1 --memory 256M -- /bin/sleep infinity')
    .action(async (first: string | undefined, rest: string[], options: RunOptions) => {
      const { image, words } = splitOperands([...(first === undefined ? [] : [first]), ...rest], process.argv);
      await withClient(options.nats, async (client) => {
        const stream = await client.request(SUBJECTS.containerRequested, requestOf(image, words, options), ['container.*'], options.requestId);
        if (options.detach) {
          print(options, { requestId: stream.requestId }, () => stream.requestId);
          return;
        }
        const begin = performance.now();
        const fact = await stream.first(
          ({ subject }) => ([SUBJECTS.containerStarted, SUBJECTS.containerFailed, SUBJECTS.containerRejected] as string[]).includes(subject),
          options.timeout * 1_000,
          'is a provisioner running? try: plinth status',
        );
        stream.close();
        finish(options, fact, performance.now() - begin);
      });
    });
}

/** What stands after `--` is the command, also where no image is named before it. */
export function splitOperands(operands: readonly string[], argv: readonly string[]): { readonly image?: string; readonly words: readonly string[] } {
  const dashes = argv.indexOf('--');
  const after = dashes < 0 ? 0 : argv.length - dashes - 1;
  const before = operands.slice(0, operands.length - after);
  return { image: before[0], words: [...before.slice(1), ...operands.slice(operands.length - after)] };
}

function requestOf(image: string | undefined, words: readonly string[], options: RunOptions): object {
  const command = words.length > 0 ? words : options.command === undefined ? undefined : [options.command];
  const limits = { memoryBytes: options.memory, cpus: options.cpus, pids: options.pids };
  return {
    name: options.name,
    tenant: options.tenant,
    image,
    strict: options.strict,
    command,
    env: options.env,
    timezone: options.tz,
    software: options.sw,
    limits: Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined,
    restart: options.restart,
    datacenter: options.datacenter,
    network: options.network,
    stopSignal: options.stopSignal,
    stopGraceSeconds: options.stopGrace,
  };
}

function finish(options: RunOptions, fact: Fact, elapsedMs: number): void {
  if (fact.subject !== SUBJECTS.containerStarted) {
    if (options.json) print(options, fact.data, () => '');
    const kind = fact.subject === SUBJECTS.containerRejected ? 'rejected' : 'failed';
    throw new ClientError(`${kind} (${String(fact.data.reason)}): ${escapeControls(String(fact.data.message))}`, String(fact.data.reason));
  }
  const started = fact.data as unknown as ContainerStarted;
  print(options, started, () => {
    const fallback = started.fallbackReason ? `; asked for ${started.imageAsked}: ${started.fallbackReason}, so the default is used` : '';
    return `${started.name} runs on ${started.host} with ${started.image}, pid ${started.pid}, in ${elapsedMs.toFixed(0)} ms${fallback}\n${started.containerId}`;
  });
}

