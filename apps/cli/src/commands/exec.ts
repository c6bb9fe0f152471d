import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { parseEnv } from './arguments.js';
import { ClientError } from '@plinth/client';
import { print } from '../output/print.js';
import { duration, type SharedOptions, withShared, withTenant } from './options.js';

/** Bytes of standard input that fit into one message. */
const MAX_STDIN = 360 * 1024;

interface ExecCommandOptions extends SharedOptions {
  tenant: string;
  env?: Record<string, string>;
  stdin?: boolean;
  timeout: number;
}

export function register(program: Command): void {
  withTenant(withShared(program.command('exec')))
    .description('run a command in a container; ends with its exit code')
    .argument('<container>', 'name or id')
    .argument('<command...>', 'what to run, after --')
    .passThroughOptions()
    .option('--env <NAME=VALUE>', 'environment variable, repeatable', parseEnv)
    .option('-i, --stdin', 'pass standard input on')
    .addOption(duration('--timeout <duration>', 'end it after this time', '1h'))
    .addHelpText('after', '\nExample:\n  plinth exec shop-1 -- cat /etc/os-release')
    .action(async (name: string, words: string[], _options: object, self: Command) => {
      const command = commandOf(words, self);
      const options = self.opts<ExecCommandOptions>();
      await withClient(options.nats, async (client) => {
        const { id, host, state } = await client.container(name, options.tenant);
        if (!host || state !== 'running')
          throw new ClientError(`${name} is ${state}, not running; try: plinth start ${name}`, 'wrong-state');
        const stream = options.json
          ? {}
          : {
              onStdout: (chunk: Uint8Array) => void process.stdout.write(chunk),
              onStderr: (chunk: Uint8Array) => void process.stderr.write(chunk),
            };
        const result = await client.exec(host, id, command, {
          ...stream,
          env: options.env,
          stdin: options.stdin ? await readInput() : undefined,
          timeoutSeconds: Math.max(1, options.timeout / 1_000),
        });
        if (options.json) print(options, result, () => '');
        process.exitCode = result.exitCode;
      });
    });
}

/** Everything after the name is the command, but options may be between the name and `--`. */
function commandOf(words: readonly string[], self: Command): string[] {
  const dashes = words.indexOf('--');
  if (dashes < 0 || !(words[0] ?? '').startsWith('-')) return [...words];
  const { operands, unknown } = self.parseOptions(words.slice(0, dashes));
  const command = words.slice(dashes + 1);
  const [misplaced] = [...operands, ...unknown];
  if (misplaced !== undefined)
    self.error(`error: '${misplaced}' is before --; the command goes after it`, { exitCode: 2 });
  if (command.length === 0) self.error('error: the command after -- is missing', { exitCode: 2 });
  return command;
}

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_STDIN)
      throw new ClientError(
        `standard input may be at most ${MAX_STDIN} bytes; write it to /data and read it there`,
        'too-large',
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
