import { CONSOLE_ROLES, type ConsoleRole } from '@plinth/contracts';
import { type Command, Option } from 'commander';
import { existsSync } from 'node:fs';
import { homeDirectory } from '@plinth/stack';
import { printLine } from '../output/print.js';
import { parseName } from './arguments.js';
import { type ConsolePlace, registerPeople } from './console-people.js';

interface ConsoleOptions {
  readonly user: string;
  readonly role: ConsoleRole;
  readonly tenant: readonly string[];
  readonly url?: string;
  readonly secret?: string;
}

const collect = (name: string, before: readonly string[]): readonly string[] => [...before, parseName(name)];

export function register(program: Command): void {
  const command = program
    .command('console')
    .description('print a link that signs a person in to the console: once, within a minute')
    .option('--user <name>', 'whom it signs in; made when there is no such user', parseName, 'admin')
    .addOption(
      new Option('--role <role>', 'of a user that is not there yet').choices([...CONSOLE_ROLES]).default('admin'),
    )
    .addOption(
      new Option('--tenant <name>', 'of a developer that is not there yet; repeatable')
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--url <url>', 'address of the console; else that of the stack of this machine')
    .option('--secret <file>', 'as the console has it in PLINTH_CONSOLE_LINK_FILE; else that of the stack')
    .addHelpText('after', '\nExample:\n  plinth console\n  plinth console --user dora --role developer --tenant acme')
    .action(printLink);
  registerPeople(command, findPlace);
}

async function printLink({ user, role, tenant, url, secret }: ConsoleOptions): Promise<void> {
  const { ClientError } = await import('@plinth/client');
  if (role === 'developer' && tenant.length === 0)
    throw new ClientError('a developer needs at least one --tenant', 'usage');
  const { link } = await findPlace({ url, secret }, { role, tenants: tenant });
  printLine(link(user));
}

/** @param person of a user that is not there yet */
async function findPlace(
  { url, secret }: Pick<ConsoleOptions, 'url' | 'secret'>,
  person: { readonly role: ConsoleRole; readonly tenants: readonly string[] } = { role: 'admin', tenants: [] },
): Promise<ConsolePlace> {
  const { consoleAddress, consoleLink, consoleLinkFile, readStack } = await import('@plinth/stack');
  const { ClientError } = await import('@plinth/client');
  const home = homeDirectory();
  const stack = readStack(home);
  const address = url?.replace(/\/$/, '') ?? (stack && consoleAddress(stack));
  const file = secret ?? consoleLinkFile(home);
  if (address === undefined) throw new ClientError('no console runs here; try: plinth up --detach', 'unreachable');
  if (!existsSync(file)) throw new ClientError(`there is no ${file}; try: plinth up --detach`, 'failed');
  return { address, link: (user) => consoleLink(address, file, { user, ...person }) };
}
