/** Who may log in to the bus, and with which key. */
import { resolve } from 'node:path';
import { ACTING_ROLES, NAME_PATTERN } from '@plinth/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Member } from '@plinth/bus-access';
import { type List, type ListOptions, printList, withLocalList } from '../output/list.js';
import { printLine } from '../output/print.js';

interface MemberOptions {
  readonly host: readonly string[];
  readonly storageNode: readonly string[];
  readonly console: readonly string[];
  readonly upstream: readonly string[];
  readonly operator: readonly string[];
}

interface InitOptions extends MemberOptions {
  readonly out: string;
  readonly listen: string;
  readonly store: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

interface BusUser {
  readonly user: string;
  readonly publicKeys: readonly string[];
  /** Its private key. */
  readonly seedFile: string;
}

const USERS: List<BusUser> = {
  name: ({ user }) => user,
  columns: [
    { heading: 'USER', cell: ({ user }) => user },
    { heading: 'PUBLIC KEYS', cell: ({ publicKeys }) => publicKeys.join(' ') },
    { heading: 'KEY FILE', cell: ({ seedFile }) => seedFile },
  ],
};

const RELOAD =
  'reload the server twice (nats-server 2.9 needs the second): ' +
  'nats-server --signal reload; nats-server --signal reload';

export function register(program: Command): void {
  const access = program.command('access').description("the bus's users: their keys and what each may do");
  withMembers(access.command('init'))
    .description("write the server's configuration and a key for each user; repeating it keeps the keys that exist")
    .requiredOption('--out <directory>', 'directory to write to')
    .option('--listen <host:port>', 'address that the server listens on', '127.0.0.1:4222')
    .option('--store <directory>', "directory of the server's streams", '/var/lib/nats')
    .option('--tls-cert <file>', "PEM, the server's certificate: connections must be TLS")
    .option('--tls-key <file>', 'PEM, the private key of that certificate')
    .option('--tls-ca <file>', 'PEM: clients must show a certificate of this authority too')
    .addHelpText(
      'after',
      '\nExample:\n  plinth access init --out /etc/plinth/access --host h1 --host h2 --storage-node s1',
    )
    .action(init);
  withMembers(access.command('add'))
    .description('add hosts and other users later; existing users do not change')
    .requiredOption('--dir <directory>', 'directory that init made')
    .addHelpText('after', '\nExample:\n  plinth access add --dir /etc/plinth/access --host h3')
    .action(add);
  withLocalList(access.command('ls'), USERS)
    .description('list the users of the bus; one with two keys is being rotated')
    .requiredOption('--dir <directory>', 'directory that init made')
    .addHelpText(
      'after',
      '\nExamples:\n  plinth access ls --dir /etc/plinth/access\n  plinth access ls --dir /etc/plinth/access -o name',
    )
    .action(async ({ dir, ...options }: ListOptions & { readonly dir: string }) => {
      const { memberId, readMembers, seedFile } = await import('@plinth/bus-access');
      const users = readMembers(dir).map((member) => ({
        user: memberId(member),
        publicKeys: member.publicKeys,
        seedFile: seedFile(dir, member),
      }));
      await printList(options, users, USERS);
    });
  access
    .command('rotate')
    .description('make a new key for one user; the old one is valid until --finish')
    .argument('<user>', 'such as host-h1, storage-s1, upstream')
    .requiredOption('--dir <directory>', 'directory that init made')
    .option('--finish', 'accept only the new key from now on')
    .addHelpText(
      'after',
      '\nExample:\n  plinth access rotate host-h1 --dir /etc/plinth/access\n' +
        '  plinth access rotate host-h1 --dir /etc/plinth/access --finish',
    )
    .action(async (user: string, { dir, finish }: { dir: string; finish?: boolean }) => {
      const { finishRotation, rotateKey, seedFile } = await import('@plinth/bus-access');
      const member = await asMember(user);
      if (finish) finishRotation(dir, member);
      else {
        rotateKey(dir, member);
        printLine(`copy ${seedFile(dir, member)} to its machine; it is read at the next connection`);
      }
      printLine(RELOAD);
    });
  access
    .command('remove')
    .description('remove a user, who can then no longer log in')
    .addHelpText('after', '\nExample:\n  plinth access remove host-h3 --dir /etc/plinth/access')
    .argument('<user>', 'such as host-h1')
    .requiredOption('--dir <directory>', 'directory that init made')
    .action(async (user: string, { dir }: { dir: string }) => {
      const { removeMember } = await import('@plinth/bus-access');
      removeMember(dir, await asMember(user));
      printLine(RELOAD);
    });
  access
    .command('table')
    .description('print what each user may do, as Markdown')
    .addHelpText('after', '\nExample:\n  plinth access table')
    .action(async () => {
      const { permissionTable } = await import('@plinth/bus-access');
      process.stdout.write(permissionTable());
    });
}

function withMembers(command: Command): Command {
  return command
    .addOption(names('--host <name>', 'a host; repeatable'))
    .addOption(names('--storage-node <name>', 'a storage node; repeatable'))
    .addOption(names('--console <name>', 'a copy of the console; repeatable'))
    .addOption(names('--upstream <name>', 'a further system that requests containers; repeatable'))
    .addOption(names('--operator <name>', 'a further operator; repeatable'));
}

/** The value is a list, empty where the option is not given. */
function names(flags: string, description: string): Option {
  return new Option(flags, description).argParser(collectNames).default([], 'none');
}

function collectNames(name: string, before: readonly string[]): string[] {
  if (!NAME_PATTERN.test(name)) throw new InvalidArgumentError('It must be lower-case letters, digits and hyphens.');
  return [...before, name];
}

function membersOf(options: MemberOptions): Member[] {
  const named = (kind: Member['kind'], names: readonly string[]): Member[] => names.map((name) => ({ kind, name }));
  return [
    ...named('storage', options.storageNode),
    ...named('host', options.host),
    ...named('console', options.console),
    // Consoles share them.
    ...(options.console.length === 0 ? [] : named('acts', ACTING_ROLES)),
    ...named('upstream', options.upstream),
    ...named('operator', options.operator),
  ];
}

async function init(options: InitOptions): Promise<void> {
  const { addMembers, ensureDownloadToken, ensureServerConfig } = await import('@plinth/bus-access');
  const { ClientError } = await import('@plinth/client');
  if ((options.tlsCert === undefined) !== (options.tlsKey === undefined))
    throw new ClientError('--tls-cert and --tls-key belong together', 'usage');
  const always: readonly Member[] = [
    { kind: 'provisioner' },
    { kind: 'image-builder' },
    { kind: 'upstream' },
    { kind: 'operator' },
  ];
  const added = addMembers(options.out, [...always, ...membersOf(options)]);
  ensureDownloadToken(options.out);
  const { tlsCert, tlsKey, tlsCa } = options;
  const tls =
    tlsCert !== undefined && tlsKey !== undefined
      ? {
          tls: {
            certFile: resolve(tlsCert),
            keyFile: resolve(tlsKey),
            ...(tlsCa === undefined ? {} : { caFile: resolve(tlsCa) }),
          },
        }
      : {};
  const file = ensureServerConfig(options.out, {
    listen: options.listen,
    storeDirectory: resolve(options.store),
    ...tls,
  });
  await printSeedFiles(options.out, added);
  printLine(`start the server with: nats-server -c ${file}`);
}

async function add(options: MemberOptions & { readonly dir: string }): Promise<void> {
  const { addMembers, readMembers } = await import('@plinth/bus-access');
  // Fails when init has not made this directory.
  readMembers(options.dir);
  await printSeedFiles(options.dir, addMembers(options.dir, membersOf(options)));
  printLine(RELOAD);
}

async function printSeedFiles(directory: string, added: readonly Member[]): Promise<void> {
  const { memberId, seedFile } = await import('@plinth/bus-access');
  for (const member of added) printLine(`${memberId(member).padEnd(32)} ${seedFile(directory, member)}`);
}

async function asMember(text: string): Promise<Member> {
  const { parseMember } = await import('@plinth/bus-access');
  const { ClientError } = await import('@plinth/client');
  const member = parseMember(text);
  if (!member)
    throw new ClientError(
      `${text} is no user of the bus; it must look like host-h1, storage-s1, image-builder, provisioner, ` +
        'console-1, acts-operator, upstream or operator',
      'usage',
    );
  return member;
}
