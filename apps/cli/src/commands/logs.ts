import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { parseCount } from './arguments.js';
import { ClientError } from '@plinth/client';
import { escapeControls } from '@plinth/client';
import { printJson } from '../output/print.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

type StreamName = 'stdout' | 'stderr';

export function register(program: Command): void {
  withTenant(withShared(program.command('logs')))
    .description("a container's output")
    .argument('<container>', 'name or id')
    .option('-f, --follow', 'print new output as it is written')
    .option('--tail <n>', 'last lines only', parseCount)
    .option('--timestamps', 'with the time of each line')
    .addHelpText('after', '\nExample:\n  plinth logs -f --tail 20 shop-1')
    .action(
      async (
        name: string,
        options: SharedOptions & { tenant: string; follow?: boolean; tail?: number; timestamps?: boolean },
      ) => {
        await withClient(options.nats, async (client) => {
          const { id, host } = await client.container(name, options.tenant);
          if (!host) throw new ClientError(`${name} has no host yet; try: plinth inspect ${name}`, 'wrong-state');
          const write = options.json ? jsonLines() : forPeople;
          const stop = new AbortController();
          process.once('SIGINT', () => stop.abort());
          try {
            const { follow, tail, timestamps } = options;
            await client.logs(host, { containerId: id, follow, tail, timestamps }, write, stop.signal);
          } catch (error) {
            if (!(error instanceof ClientError) || error.reason !== 'aborted' || !stop.signal.aborted) throw error;
          }
        });
      },
    );
}

/** Whole lines; on a terminal control characters are shown, elsewhere the bytes stay as they are. */
function forPeople(name: StreamName, chunk: Uint8Array): void {
  const stream = process[name];
  stream.write(stream.isTTY ? escapeControls(Buffer.from(chunk).toString('utf8')) : chunk);
}

/** One object per line. */
function jsonLines(): (name: StreamName, chunk: Uint8Array) => void {
  return (stream, chunk) => {
    const lines = Buffer.from(chunk).toString('utf8').split('\n');
    if (lines.at(-1) === '') lines.pop();
    for (const line of lines) printJson({ stream, line }, 0);
  };
}
