/** `plinth place`: where a container would be placed, and why. */
import { QUERIES } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { describePreview } from '../output/placement-view.js';
import { print } from '../output/print.js';
import { parseName } from './arguments.js';
import { withShared } from './options.js';
import { REQUEST_HELP, requestFrom, type RequestOptions, withRequest } from './request-options.js';

interface PlaceOptions extends RequestOptions {
  dryRun?: boolean;
  host?: string;
}

export function register(program: Command): void {
  withRequest(
    withShared(program.command('place')).description(
      'show where a container would be placed, why there, and why not elsewhere; nothing is reserved',
    ),
  )
    .option('--dry-run', 'what this command does; plinth run places a container')
    .option('--host <name>', 'explain this host, too', parseName)
    .addHelpText(
      'after',
      '\nIt is decided on all hosts as they are now. A real request is decided on some that are drawn when there are\n' +
        'more than 32, so it may get another good one. Exit code 1: it would be refused.\n' +
        `${REQUEST_HELP}\n` +
        '\nExamples:\n  plinth place --dry-run --memory 2G --on gpu=yes\n' +
        '  plinth place --dry-run --group web --spread rack --host host-3',
    )
    .action(async (_image: string | undefined, _words: string[], options: PlaceOptions, command: Command) => {
      if (!options.dryRun)
        command.error('error: place needs --dry-run; plinth run with the same options places a container', {
          exitCode: 2,
        });
      const request = requestFrom(command, options);
      await withClient(options.nats, async (client) => {
        const preview = await client.query(QUERIES.placement, { request, host: options.host });
        print(options, preview, () => describePreview(preview));
        if (preview.host === null) process.exitCode = 1;
      });
    });
}
