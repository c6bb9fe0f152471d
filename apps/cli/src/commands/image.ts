import type { Command } from 'commander';
import { IMAGES } from '../output/image-list.js';
import { type ListOptions, withList } from '../output/list.js';
import { parseCount, parseList } from './arguments.js';
import { duration, type SharedOptions, withShared, withTenant } from './options.js';

/** The subcommands' work is in image-*.ts, which are loaded when one of them runs. */
export function register(program: Command): void {
  const image = program.command('image').description('build, compare, promote, revoke and retire OS images');
  withShared(image.command('build'))
    .description('build and test an image from a recipe; succeeds only when its tests pass')
    .argument('<recipe>', 'YAML file, or - for standard input')
    .addOption(duration('--timeout <duration>', 'how long to wait', '40m'))
    .addHelpText('after', '\nExample:\n  plinth image build recipes/debian-12.yaml')
    .action(async (recipe: string, options: SharedOptions & { timeout: number }) =>
      (await import('./image-actions.js')).build(recipe, options),
    );
  withList(image.command('ls'), IMAGES)
    .description('list image versions')
    .argument('[name]', 'only versions of this name')
    .addHelpText('after', '\nExample:\n  plinth image ls debian-12')
    .action(async (name: string | undefined, options: ListOptions) =>
      (await import('./image-actions.js')).list(name, options),
    );
  withShared(image.command('show'))
    .description('one version: build, tests, manifest, where it is')
    .argument('<image>', 'name@version')
    .addHelpText('after', '\nExample:\n  plinth image show debian-12@v1')
    .action(async (ref: string, options: SharedOptions) => (await import('./image-actions.js')).show(ref, options));
  withShared(image.command('promote'))
    .description('put a tested image into production and wait until the storage nodes have it')
    .argument('<image>', 'name@version')
    .option('--to <nodes or labels>', 'such as sn-1,sn-2 or datacenter=west; absent: all', parseList)
    .addHelpText('after', '\nExample:\n  plinth image promote debian-12@v2 --to datacenter=west')
    .option('--no-wait', 'do not wait for the storage nodes')
    .addOption(duration('--timeout <duration>', 'how long to wait', '10m'))
    .action(async (ref: string, options: SharedOptions & { to?: string[]; wait: boolean; timeout: number }) =>
      (await import('./image-actions.js')).promote(ref, options),
    );
  withShared(image.command('activate'))
    .description('make a version the default of its name, and its name the default OS')
    .argument('<image>', 'name@version')
    .option('--version-only', 'leave the default OS as it is')
    .addHelpText('after', '\nExample:\n  plinth image activate debian-12@v2')
    .action(async (ref: string, options: SharedOptions & { versionOnly?: boolean }) =>
      (await import('./image-actions.js')).activate(ref, options),
    );
  withShared(image.command('revoke'))
    .description('let nothing new start on a version')
    .argument('<image>', 'name@version')
    .requiredOption('--reason <text>', 'why, for the people who read the event')
    .addHelpText('after', '\nExample:\n  plinth image revoke debian-12@v2 --reason "CVE-2026-1234"')
    .action(async (ref: string, options: SharedOptions & { reason: string }) =>
      (await import('./image-actions.js')).revoke(ref, options),
    );
  withShared(image.command('diff'))
    .description('what differs between two versions: packages, files, /etc, settings')
    .argument('<from>', 'name@version, or a name for its newest')
    .argument('<to>', 'name@version, or a name for its newest')
    .option('--files', 'list all files')
    .addHelpText('after', '\nExample:\n  plinth image diff debian-12@v1 debian-12')
    .action(async (from: string, to: string, options: SharedOptions & { files?: boolean }) =>
      (await import('./image-inspection.js')).diff(from, to, options),
    );
  withTenant(withShared(image.command('plan')))
    .description('what starting a container on a version would mount, in order; nothing is run')
    .argument('<image>', 'name@version, or a name for its newest')
    .option('--container <container>', 'with the config of this one, name or id')
    .addHelpText('after', '\nExample:\n  plinth image plan debian-12@v2 --container shop-1')
    .action(async (ref: string, options: SharedOptions & { container?: string; tenant: string }) =>
      (await import('./image-inspection.js')).plan(ref, options),
    );
  withShared(image.command('blast-radius'))
    .description('everything that needs a version: tenants, hosts, containers, rollouts')
    .argument('<image>', 'name@version')
    .addHelpText('after', '\nExample:\n  plinth image blast-radius debian-12@v1')
    .action(async (ref: string, options: SharedOptions) =>
      (await import('./image-retirement.js')).showBlastRadius(ref, options),
    );
  withShared(image.command('retire'))
    .description('remove a version from everywhere, for ever; refused while anything needs it')
    .argument('<image>', 'name@version')
    .addHelpText('after', '\nExample:\n  plinth image retire debian-12@v1')
    .option('--no-wait', 'do not wait for the storage nodes')
    .addOption(duration('--timeout <duration>', 'how long to wait', '2m'))
    .action(async (ref: string, options: SharedOptions & { wait: boolean; timeout: number }) =>
      (await import('./image-retirement.js')).retire(ref, options),
    );
  withShared(image.command('gc'))
    .description('retire the versions that nothing needs, beyond the newest of each name')
    .option('--keep <n>', 'how many of the newest stay', parseCount, 3)
    .option('--name <name>', 'only versions of this name')
    .option('--dry-run', 'only print what would be retired')
    .addHelpText('after', '\nExample:\n  plinth image gc --keep 2 --dry-run')
    .action(async (options: SharedOptions & { keep: number; name?: string; dryRun?: boolean }) =>
      (await import('./image-retirement.js')).collect(options),
    );
}
