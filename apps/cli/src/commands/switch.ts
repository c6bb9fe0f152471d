import { SUBJECTS } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { ClientError, type Fact } from '@plinth/client';
import { updateContainer } from '@plinth/client';
import { escapeControls } from '@plinth/client';
import { print } from '../output/print.js';
import { duration, type SharedOptions, withShared, withTenant } from './options.js';

interface SwitchOptions extends SharedOptions {
  tenant: string;
  to: string;
  soak?: number;
  stable?: number;
  snapshotData?: boolean;
  wait: boolean;
  timeout?: number;
}

/** In addition to gate and soak time. */
const PATIENCE_MS = 120_000;
const DEFAULT_SOAK_MS = 60_000;

export function register(program: Command): void {
  withTenant(withShared(program.command('switch')))
    .description('move a container to another image; a failed update goes back by itself')
    .argument('<container>', 'name or id')
    .requiredOption('--to <image>', 'name (its default version), name@version, or known-good')
    .addOption(
      duration('--soak <duration>', 'how long it has to stay healthy to be known good, such as 30s (default: 60s)'),
    )
    .addOption(duration('--stable <duration>', 'how long it has to stay up without a health check (default: 5s)'))
    .option('--snapshot-data', 'copy its data first, and restore the copy when the update fails')
    .option('--no-wait', 'do not wait for the verdict')
    .addOption(duration('--timeout <duration>', 'how long to wait (default: the soak time and two minutes)'))
    .addHelpText(
      'after',
      '\nExit code 0 only when the new image is known good.\n' +
        '\nExample:\n  plinth switch shop-1 --to debian-12@v2 --soak 30s',
    )
    .action(async (name: string, options: SwitchOptions) => {
      await withClient(options.nats, async (client) => {
        const { id } = await client.container(name, options.tenant);
        const timeoutMs =
          options.timeout === undefined
            ? (options.soak ?? DEFAULT_SOAK_MS) + (options.stable ?? 0) + PATIENCE_MS
            : options.timeout;
        const begin = performance.now();
        const request = {
          to: options.to,
          soakSeconds: seconds(options.soak),
          stableSeconds: seconds(options.stable),
          snapshotData: options.snapshotData,
        };
        const showProgress = (fact: Fact): void => {
          const line = options.json ? undefined : progressOf(fact);
          if (line)
            process.stderr.write(`${escapeControls(line)} (${((performance.now() - begin) / 1000).toFixed(1)} s)\n`);
        };
        try {
          const outcome = await updateContainer(
            client,
            id,
            request,
            options.wait ? timeoutMs : undefined,
            showProgress,
          );
          if (!outcome)
            return print(
              options,
              { ok: true, container: id },
              () => `requested; plinth inspect ${name} shows its progress`,
            );
          if (outcome.kind === 'updated')
            return print(
              options,
              { ok: true, ...outcome.fact },
              () => `${name} runs on ${outcome.fact.image}, which is known good now; it was ${outcome.fact.from}`,
            );
          const { image, failedImage, reason, message, checkOutput, logTail } = outcome.fact;
          if (options.json) print(options, { ok: false, ...outcome.fact }, () => '');
          const check = checkOutput ? `\noutput of the check: ${checkOutput.trimEnd()}` : '';
          const log = logTail ? `\nits last lines:\n${logTail.trimEnd()}` : '';
          throw new ClientError(
            `${name} failed on ${failedImage} (${reason}): ${message}; it runs on ${image} again${check}${log}`,
            'reverted',
          );
        } catch (error) {
          if (options.json && error instanceof ClientError && error.reason !== 'reverted')
            print(options, { ok: false, reason: error.reason, message: error.message }, () => '');
          throw error;
        }
      });
    });
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}

function progressOf({ subject, data }: Fact): string | undefined {
  switch (subject) {
    case SUBJECTS.containerStarted:
      return `started on ${String(data['image'])}; it is being judged`;
    case SUBJECTS.containerFailed:
      return `failed (${String(data['reason'])}): ${String(data['message'])}`;
    default:
      return undefined;
  }
}
