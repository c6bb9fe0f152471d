import type { Command } from 'commander';
import { parseDuration, parseList } from '../client/inputs.js';
import { type SharedOptions, withShared } from './options.js';

/** The subcommands' work lies in image-actions.ts, loaded when one of them runs. */
export function register(program: Command): void {
  const image = program.command('image').description('build, test, promote and revoke OS images');
  withShared(image.command('build'))
    .description('build and test an image from a recipe; succeeds only when its tests pass')
    .argument('<recipe>', 'YAML file, or - for standard input')
    .option('--timeout <duration>', 'how long to wait', parseDuration, 2_400_000)
    .addHelpText('after', '\nExample:\n  plinth image build recipes/debian-12.yaml')
    .action(async (recipe: string, options: SharedOptions & { timeout: number }) => (await import('./image-actions.js')).build(recipe, options));
  withShared(image.command('ls'))
    .description('list image versions')
    .argument('[name]')
    .action(async (name: string | undefined, options: SharedOptions) => (await import('./image-actions.js')).list(name, options));
  withShared(image.command('show'))
    .description('one version: build, tests, manifest, where it is')
    .argument('<image>', 'name@version')
    .action(async (ref: string, options: SharedOptions) => (await import('./image-actions.js')).show(ref, options));
  withShared(image.command('promote'))
    .description('put a tested image into production and wait until the storage nodes have it')
    .argument('<image>', 'name@version')
    .option('--to <nodes or labels>', 'such as sn-1,sn-2 or datacenter=west; absent: all', parseList)
    .option('--no-wait', 'do not wait for the storage nodes')
    .option('--timeout <duration>', 'how long to wait', parseDuration, 600_000)
    .action(async (ref: string, options: SharedOptions & { to?: string[]; wait: boolean; timeout: number }) => (await import('./image-actions.js')).promote(ref, options));
  withShared(image.command('activate'))
    .description('make a version the default of its name, and its name the default OS')
    .argument('<image>', 'name@version')
    .option('--version-only', 'leave the default OS as it is')
    .action(async (ref: string, options: SharedOptions & { versionOnly?: boolean }) => (await import('./image-actions.js')).activate(ref, options));
  withShared(image.command('revoke'))
    .description('let nothing new start on a version')
    .argument('<image>', 'name@version')
    .requiredOption('--reason <text>', 'why')
    .action(async (ref: string, options: SharedOptions & { reason: string }) => (await import('./image-actions.js')).revoke(ref, options));
}
