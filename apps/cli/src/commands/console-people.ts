/** Users and API tokens of the console, over its API, signed in by a link: the reader of the secret may do all of it. */
import { readFileSync } from 'node:fs';
import { CONSOLE_ROLES, type ConsoleRole } from '@plinth/contracts';
import type { Problem, TokenEntry, TokenList, TokenMade, UserEntry, UserList } from '@plinth/contracts/console';
import { type Command, Option } from 'commander';
import { type List, type ListOptions, printList, withLocalList } from '../output/list.js';
import { printLine } from '../output/print.js';
import { parseCount, parseName } from './arguments.js';

/** Where the console is and by which secret a link is made. */
export interface ConsolePlace {
  readonly address: string;
  /** Signs somebody in, once. */
  readonly link: (user: string) => string;
}

interface PlaceOptions {
  readonly url?: string;
  readonly secret?: string;
}
type FindPlace = (options: PlaceOptions) => Promise<ConsolePlace>;

interface Rights extends PlaceOptions {
  readonly role?: ConsoleRole;
  readonly tenant: readonly string[];
}

const USERS: List<UserEntry> = {
  name: ({ name }) => name,
  columns: [
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'ROLE', cell: ({ role }) => role },
    { heading: 'TENANTS', cell: ({ tenants }) => tenants.join(' ') },
    {
      heading: 'SIGNS IN BY',
      cell: ({ disabled, hasPassword, fromProvider }) =>
        disabled ? 'disabled' : fromProvider ? 'provider' : hasPassword ? 'password, link' : 'link',
    },
    { heading: 'SESSIONS', cell: ({ sessions }) => sessions },
  ],
};

const TOKENS: List<TokenEntry> = {
  name: ({ id }) => id,
  columns: [
    { heading: 'ID', cell: ({ id }) => id },
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'OWNER', cell: ({ owner }) => owner },
    { heading: 'RIGHTS', cell: ({ role, tenants }) => [role, ...tenants].join(' ') },
    { heading: 'ENDS', cell: ({ endsAt, revokedAt }) => (revokedAt === null ? endsAt : 'revoked') },
    { heading: 'LAST USE', cell: ({ usedAt }) => usedAt },
  ],
};

const ADMIN = 'admin';
const collect = (name: string, before: readonly string[]): readonly string[] => [...before, parseName(name)];
const roleOption = (text: string): Option => new Option('--role <role>', text).choices([...CONSOLE_ROLES]);
const tenantOption = (): Option =>
  new Option('--tenant <name>', 'of a developer; repeatable').argParser(collect).default([], 'none');
const withPlace = (command: Command): Command =>
  command
    .option('--url <url>', 'address of the console; else that of the stack of this machine')
    .option('--secret <file>', 'as the console has it in PLINTH_CONSOLE_LINK_FILE; else that of the stack');

export function registerPeople(parent: Command, place: FindPlace): void {
  const user = parent.command('user').description('who may sign in to the console');
  withLocalList(withPlace(user.command('ls')), USERS)
    .description('list the users of the console')
    .addHelpText('after', '\nExample:\n  plinth console user ls')
    .action(async (options: PlaceOptions & ListOptions) => {
      const { items } = await signedIn<UserList>(await place(options), 'GET', '/users');
      await printList(options, items, USERS);
    });
  withPlace(user.command('add'))
    .description('add a user')
    .argument('<name>', 'name of the user', parseName)
    .addOption(roleOption('what the user may do').default('viewer'))
    .addOption(tenantOption())
    .option('--password-file <file>', 'first line is the password; without it, links only')
    .addHelpText('after', '\nExample:\n  plinth console user add dora --role developer --tenant acme')
    .action(async (name: string, options: Rights & { readonly passwordFile?: string }) => {
      const body = { name, role: options.role, ...tenantsOf(options), ...passwordOf(options.passwordFile) };
      await signedIn(await place(options), 'POST', '/users', body);
    });
  withPlace(user.command('set'))
    .description('change a user; all sessions of the user end')
    .argument('<name>', 'name of the user; oidc:… can be disabled and enabled only')
    .addOption(roleOption('another role'))
    .addOption(tenantOption())
    .option('--password-file <file>', 'first line is the new password')
    .option('--disable', 'refuse every sign-in and token of the user')
    .option('--enable', 'allow them again')
    .addHelpText('after', '\nExample:\n  plinth console user set dora --disable')
    .action(
      async (
        name: string,
        options: Rights & { readonly passwordFile?: string; readonly disable?: boolean; readonly enable?: boolean },
      ) => {
        const { role, disable, enable } = options;
        const body = {
          ...(role === undefined ? {} : { role }),
          ...tenantsOf(options),
          ...passwordOf(options.passwordFile),
          ...(disable ? { disabled: true } : enable ? { disabled: false } : {}),
        };
        await signedIn(await place(options), 'PATCH', `/users/${encodeURIComponent(name)}`, body);
      },
    );

  const token = parent.command('token').description('API tokens of the console');
  withLocalList(withPlace(token.command('ls')), TOKENS)
    .description('list API tokens')
    .addHelpText('after', '\nExample:\n  plinth console token ls')
    .action(async (options: PlaceOptions & ListOptions) => {
      const { items } = await signedIn<TokenList>(await place(options), 'GET', '/tokens');
      await printList(options, items, TOKENS);
    });
  withPlace(token.command('create'))
    .description('make an API token and print it, this once')
    .argument('<name>', 'what it is for', parseName)
    .addOption(roleOption('what it may do').default('viewer'))
    .addOption(tenantOption())
    .option('--days <n>', 'days until it ends', parseCount, 90)
    .addHelpText('after', '\nExample:\n  plinth console token create ci --role operator --days 30')
    .action(async (name: string, options: Rights & { readonly days: number }) => {
      const body = { name, role: options.role, days: options.days, ...tenantsOf(options) };
      printLine((await signedIn<TokenMade>(await place(options), 'POST', '/tokens', body)).token);
    });
  withPlace(token.command('revoke'))
    .description('end an API token')
    .argument('<id>', 'as plinth console token ls shows it')
    .addHelpText('after', '\nExample:\n  plinth console token revoke 0a1b2c3d4e5f')
    .action(async (id: string, options: PlaceOptions) => {
      await signedIn(await place(options), 'DELETE', `/tokens/${encodeURIComponent(id)}`);
    });
}

function tenantsOf({ tenant }: Rights): { readonly tenants?: readonly string[] } {
  return tenant.length === 0 ? {} : { tenants: tenant };
}

function passwordOf(file: string | undefined): { readonly password?: string } {
  return file === undefined ? {} : { password: readFileSync(file, 'utf8').split('\n')[0] };
}

/** One request, in a session of its own. @throws ClientError with the console's reason */
async function signedIn<T = unknown>(place: ConsolePlace, method: string, path: string, body?: object): Promise<T> {
  const { address } = place;
  const send = async (verb: string, at: string, cookie: string | undefined, data?: object): Promise<Response> => {
    const headers = { origin: new URL(address).origin, 'content-type': 'application/json' };
    const sent = { method: verb, headers: { ...headers, ...(cookie === undefined ? {} : { cookie }) } };
    return checked(await reach(`${address}/api/v1${at}`, { ...sent, body: data && JSON.stringify(data) }));
  };
  const link = place.link(ADMIN).split('#link=')[1];
  const begun = await send('POST', '/session', undefined, { link });
  const cookie = begun.headers.get('set-cookie')?.split(';')[0];
  try {
    const answer = await send(method, path, cookie, body);
    const text = await answer.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  } finally {
    await send('DELETE', '/session', cookie);
  }
}

async function reach(url: string, request: RequestInit): Promise<Response> {
  const { ClientError } = await import('@plinth/client');
  try {
    return await fetch(url, request);
  } catch (error) {
    throw new ClientError(`the console does not answer at ${new URL(url).origin}; is it up?`, 'unreachable', {
      cause: error,
    });
  }
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const { ClientError } = await import('@plinth/client');
  const { detail, reason } = (await response.json()) as Problem;
  throw new ClientError(`refused (${reason}): ${detail}`, reason);
}
