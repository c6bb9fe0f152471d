/** `plinth deadletters`: messages that services could not handle. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withClient } from '../connection.js';
import {
  bodyOf,
  type DeadLetter,
  deadLetter,
  deadLetters,
  dropDeadLetters,
  type LetterFilter,
  replayDeadLetter,
  replayRefusal,
  withoutSecrets,
} from '@plinth/client';
import { ClientError, type PlinthClient } from '@plinth/client';
import { print } from '../output/print.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { ageCell, table } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

interface FilterOptions extends SharedOptions, LetterFilter {}

interface ChoiceOptions extends FilterOptions {
  all?: boolean;
}

const DEFAULT_LIMIT = 100;

function withFilter(command: Command): Command {
  return command
    .addOption(
      new Option('--service <name>', 'only those of one service').choices([
        'provisioner',
        'image-builder',
        'distributor',
      ]),
    )
    .option('--subject <subject>', 'only messages of this subject, e.g. container.requested')
    .option('--reason <reason>', 'only those put aside for this reason, e.g. internal-error');
}

const LETTERS: List<DeadLetter> = {
  data: withoutBody,
  name: ({ sequence }) => String(sequence),
  columns: [
    { heading: 'NUMBER', cell: ({ sequence }) => sequence },
    { heading: 'AGE', cell: ({ storedAt }) => ageCell(storedAt, Date.now()) },
    { heading: 'SERVICE', cell: ({ service }) => service },
    { heading: 'SUBJECT', cell: ({ subject }) => subject },
    { heading: 'REASON', cell: ({ reason }) => reason },
    { heading: 'TRIES', cell: ({ attempts }) => attempts },
    { heading: 'BYTES', cell: ({ bytes }) => bytes },
    { heading: 'SEND AGAIN', cell: (letter) => (replayRefusal(letter) === undefined ? 'yes' : 'no') },
  ],
};

export function register(program: Command): void {
  const letters = program
    .command('deadletters')
    .description('messages that a service could not handle: list, show, send again, remove')
    .action(() => letters.help({ error: true }));
  withFilter(withList(letters.command('ls'), LETTERS))
    .description('list dead letters, newest first')
    .addHelpText('after', '\nExample:\n  plinth deadletters ls --service provisioner')
    .option('--limit <count>', 'how many at most', parseNumber, DEFAULT_LIMIT)
    .action(async (options: FilterOptions & ListOptions & { limit: number }) => {
      await withClient(options.nats, async (client) => {
        const found = await deadLetters(client, options, options.limit);
        if (found.length === options.limit)
          process.stderr.write(`these are the newest ${found.length}; for more, use --limit\n`);
        await printList(options, found, LETTERS);
      });
    });
  withShared(letters.command('show'))
    .description('show one dead letter: what was wrong, and its body; values of its environment are hidden')
    .addHelpText('after', '\nExample:\n  plinth deadletters show 17')
    .argument('<number>', 'as ls shows it', parseNumber)
    .action(async (number: number, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const letter = await deadLetter(client, number);
        const body = bodyOf(letter);
        const shown = {
          ...withoutBody(letter),
          body: body ? withoutSecrets(body) : null,
          refusal: replayRefusal(letter) ?? null,
        };
        print(options, shown, () => describe(letter, shown.body));
      });
    });
  withFilter(withShared(letters.command('replay')))
    .description('send requests again, each as a new request, and remove the letter; asking twice sends once')
    .argument('[number...]', 'as ls shows it', collect)
    .option('--all', 'every one that the filters select and that can be sent again')
    .addHelpText('after', '\nExample:\n  plinth deadletters replay 17 18')
    .action(async (numbers: readonly number[] | undefined, options: ChoiceOptions) => {
      await withClient(options.nats, async (client) => {
        const found = await choose(client, numbers ?? [], options);
        const able = options.all ? found.filter((letter) => replayRefusal(letter) === undefined) : found;
        const sent: { letter: number; subject: string; requestId: string }[] = [];
        for (const letter of able)
          sent.push({
            letter: letter.sequence,
            subject: letter.subject,
            requestId: await replayDeadLetter(client, letter),
          });
        print(options, sent, () =>
          sent.length === 0
            ? 'nothing to send again'
            : table(
                ['LETTER', 'SENT AGAIN TO', 'REQUEST'],
                sent.map((one) => [one.letter, one.subject, one.requestId]),
              ),
        );
      });
    });
  withFilter(withShared(letters.command('drop')))
    .description('remove dead letters for good')
    .addHelpText('after', '\nExample:\n  plinth deadletters drop 17 18')
    .argument('[number...]', 'as ls shows it', collect)
    .option('--all', 'every one that the filters select')
    .action(async (numbers: readonly number[] | undefined, options: ChoiceOptions) => {
      await withClient(options.nats, async (client) => {
        const answer = await dropDeadLetters(client, await choose(client, numbers ?? [], options));
        print(
          options,
          answer,
          () =>
            `${answer.dropped.length} dropped` +
            (answer.missing.length > 0 ? `, ${answer.missing.length} were gone` : ''),
        );
      });
    });
}

async function choose(client: PlinthClient, numbers: readonly number[], options: ChoiceOptions): Promise<DeadLetter[]> {
  // Oldest first, in the order of their arrival.
  if (options.all === true) return (await deadLetters(client, options, Infinity)).reverse();
  if (numbers.length === 0)
    throw new ClientError('name the letters by number, or use --all; plinth deadletters ls lists them', 'usage');
  return Promise.all(numbers.map((number) => deadLetter(client, number)));
}

function withoutBody({ body: _body, ...rest }: DeadLetter): Omit<DeadLetter, 'body'> {
  return rest;
}

function describe(letter: DeadLetter, body: unknown): string {
  const rows: [string, string | number][] = [
    ['number', letter.sequence],
    ['service', letter.service],
    ['subject', letter.subject],
    ['at', letter.storedAt],
    ['event', letter.eventId],
    ['reason', letter.reason],
    ['tries', letter.attempts],
    ...letter.problems.map((problem): [string, string] => [
      'problem',
      `${problem.path ? `${problem.path}: ` : ''}${problem.message ?? ''}`,
    ]),
    ['send again', replayRefusal(letter) ?? `plinth deadletters replay ${letter.sequence}`],
  ];
  const shown =
    body === null
      ? `its body of ${letter.bytes} bytes is no JSON object, and is not shown: it may hold secrets`
      : JSON.stringify(body, null, 2);
  return `${table(['WHAT', 'VALUE'], rows)}\n\n${shown}`;
}

function parseNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('it is a number from 1');
  return Number(text);
}

function collect(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), parseNumber(text)];
}
