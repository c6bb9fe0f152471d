import { once } from 'node:events';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { homeDirectory } from '@plinth/stack';
import { counted } from '../output/table.js';

/** Reads a count from the command line. */
function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 64)
    throw new InvalidArgumentError('It must be a number from 1 to 64.');
  return value;
}

interface UpOptions {
  readonly detach?: boolean;
  readonly hosts: number;
  readonly storageNodes: number;
  readonly images: 'attached' | 'own';
  readonly console: boolean;
  readonly cni?: string | false;
}

export function register(program: Command): void {
  program
    .command('up')
    .description('start a complete stack on this machine: NATS, PostgreSQL and all services')
    .option('--detach', 'leave it running in the background')
    .option('--hosts <n>', 'host agents', count, 2)
    .option('--no-console', 'start no console')
    .option('--cni <file>', 'containers get the network of this CNI configuration list (docs/network.md); it is kept')
    .option('--no-cni', "containers get plinth's own network again")
    .option('--storage-nodes <n>', 'storage nodes, each with a distributor', count, 2)
    .addOption(
      new Option(
        '--images <where>',
        'attached: on storage nodes, which hosts have mounted; own: in a store of each host',
      )
        .choices(['attached', 'own'])
        .default('attached'),
    )
    .addHelpText(
      'after',
      '\nNATS_URL and DATABASE_URL name servers to use instead of starting its own; PLINTH_HOME is where the ' +
        'data goes.\n\n' +
        'Example:\n  plinth up --detach --hosts 3',
    )
    .action(async (options: UpOptions) => {
      const { consoleAddress, runningIds, startStack } = await import('@plinth/stack');
      const home = homeDirectory();
      const print = (line: string): void => void process.stdout.write(`${line}\n`);
      // Before the first process starts, because an interrupted start must not leave half a stack.
      const interruption = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());
      let exitCode = 0;
      try {
        const { stack, started } = await startStack({
          home,
          hosts: options.hosts,
          storageNodes: options.storageNodes,
          images: options.images,
          withoutConsole: !options.console,
          cni: options.cni,
          onProgress: print,
          signal: interruption.signal,
        });
        print(
          started === 0
            ? `already running: ${counted(stack.services.length, 'process', 'processes')}, data in ${home}`
            : `${counted(started, 'process', 'processes')} started; data in ${home}`,
        );
        const address = consoleAddress(stack);
        if (address !== undefined) print(`console: ${address}   sign in with: plinth console`);
        if (options.detach) {
          print('inspect it with: plinth status   stop it with: plinth down');
          process.exit();
        }
        print('Ctrl-C stops it');
        await untilAborted(interruption.signal);
      } catch (error) {
        if (!interruption.signal.aborted) {
          const running = runningIds(home);
          if (running.length > 0)
            process.stderr.write(
              `plinth: running so far: ${running.join(', ')}; go on with: plinth up   stop it with: plinth down\n`,
            );
          throw error;
        }
        exitCode = 130;
      }
      print('stopping');
      const { stopStack } = await import('@plinth/stack');
      const report = await stopStack(home, { data: false, onProgress: print });
      if (report.left.length > 0)
        process.stderr.write(`plinth: still there: ${report.left.join(', ')}; run plinth down again\n`);
      process.exit(report.left.length > 0 ? 1 : exitCode);
    });
}

/** Keeps the process alive, which a pending promise alone does not. */
async function untilAborted(signal: AbortSignal): Promise<void> {
  const timer = setInterval(() => undefined, 60_000);
  try {
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    clearInterval(timer);
  }
}
