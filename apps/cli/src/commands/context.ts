/** `plinth context`: systems by name. */
import { resolve } from 'node:path';
import { ClientError } from '@plinth/client';
import { NAME_PATTERN, NAME_WORDS } from '@plinth/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import { type Context, contextCalled, readContexts, writeContexts } from '../contexts.js';
import { type List, type ListOptions, printList, withLocalList } from '../output/list.js';
import { printLine } from '../output/print.js';
import { parseName } from './arguments.js';

interface Row extends Context {
  readonly name: string;
  readonly isCurrent: boolean;
}

const CONTEXTS: List<Row> = {
  name: ({ name }) => name,
  columns: [
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'IN USE', cell: ({ isCurrent }) => (isCurrent ? 'yes' : null) },
    { heading: 'SERVER', cell: ({ server }) => server },
    { heading: 'TENANT', cell: ({ tenant }) => tenant },
    { heading: 'KEY', cell: ({ nkeyFile }) => nkeyFile },
    { heading: 'CA', isWide: true, cell: ({ tlsCaFile }) => tlsCaFile },
  ],
};

function parseServer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['nats:', 'tls:', 'ws:', 'wss:'].includes(url.protocol))
    throw new InvalidArgumentError('a URL is needed, such as nats://bus.example.org:4222 or tls://…');
  if (url.password !== '') throw new InvalidArgumentError('no password in the URL: use --nkey');
  return text;
}

function parseContextName(text: string): string {
  if (!NAME_PATTERN.test(text)) throw new InvalidArgumentError(`a name has ${NAME_WORDS}`);
  return text;
}

export function register(program: Command): void {
  const context = program
    .command('context')
    .description('systems by name: where each is, and the key that logs in')
    .action(() => context.help({ error: true }));
  context
    .command('add')
    .description('add a system, or change it; the first one is used from then on')
    .argument('<name>', NAME_WORDS, parseContextName)
    .requiredOption('--server <url>', 'URL of its NATS server', parseServer)
    .option('--nkey <file>', 'file with the key of an operator')
    .option('--tls-ca <file>', "certificates that the server's is checked by")
    .option('--tenant <name>', 'whose containers are meant where none is named', parseName)
    .addHelpText(
      'after',
      '\nExample:\n  plinth context add east --server tls://bus.east.example.org:4222 --nkey ~/.plinth/east.nk --tenant acme',
    )
    .action(
      (
        name: string,
        { server, nkey, tlsCa, tenant }: { server: string; nkey?: string; tlsCa?: string; tenant?: string },
      ) => {
        const { current, contexts } = readContexts();
        const added = { server, nkeyFile: nkey && resolve(nkey), tlsCaFile: tlsCa && resolve(tlsCa), tenant };
        writeContexts({ current: current ?? name, contexts: { ...contexts, [name]: added } });
        printLine(current === undefined || current === name ? `${name} is in use` : `next: plinth context use ${name}`);
      },
    );
  context
    .command('use')
    .description('use a system from now on; PLINTH_CONTEXT names another for one command')
    .argument('<context>', 'its name, or - for none: the stack of this machine', (text) =>
      text === '-' ? text : parseContextName(text),
    )
    .addHelpText('after', '\nExample:\n  plinth context use east')
    .action((name: string) => {
      const found = readContexts();
      if (name !== '-') contextCalled(name, found);
      writeContexts({ current: name === '-' ? undefined : name, contexts: found.contexts });
      printLine(name === '-' ? 'no context is in use' : `${name} is in use`);
    });
  withLocalList(context.command('ls'), CONTEXTS)
    .description('list the systems that are known')
    .addHelpText('after', '\nExample:\n  plinth context ls')
    .action(async (options: ListOptions) => {
      const { current, contexts } = readContexts();
      const rows = Object.entries(contexts).map(([name, each]) => ({ name, isCurrent: name === current, ...each }));
      await printList(options, rows, CONTEXTS);
    });
  context
    .command('rm')
    .description('forget a system; its key file stays')
    .argument('<context>', 'its name', parseContextName)
    .addHelpText('after', '\nExample:\n  plinth context rm east')
    .action((name: string) => {
      const found = readContexts();
      contextCalled(name, found);
      const { [name]: _gone, ...contexts } = found.contexts;
      if (found.current === name && Object.keys(contexts).length > 0)
        throw new ClientError(`${name} is in use; plinth context use another, or -, first`, 'in-use');
      writeContexts({ current: found.current === name ? undefined : found.current, contexts });
      printLine(`${name} is forgotten`);
    });
}
