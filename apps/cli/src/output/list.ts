/** Lists in every form: a table, a wide one, JSON, YAML, names alone; sorted by a column. */
import { escapeControls, escapeJson } from '@plinth/client';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type SharedOptions, withShared } from '../commands/options.js';
import { type Cell, PagedTable } from './table.js';

export const LIST_FORMS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type ListForm = (typeof LIST_FORMS)[number];

export interface Column<T> {
  readonly heading: string;
  readonly cell: (item: T) => Cell;
  /** Only in the wide table. */
  readonly isWide?: boolean;
}
export interface List<T> {
  readonly columns: readonly Column<T>[];
  /** By which other commands take it. */
  readonly name: (item: T) => string;
  /** What programs get of it; absent: all. */
  readonly data?: (item: T) => unknown;
}

export interface Sorting {
  /** Of a column, such as `memory-given`. */
  readonly key: string;
  readonly isDescending: boolean;
}
export interface ListOptions extends SharedOptions {
  readonly output?: ListForm;
  readonly sort?: Sorting;
  /** false: no line with headings. */
  readonly headers?: boolean;
}

export const keyOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');

/** The options of a list, which are checked before anything is sent. */
export function withList<T>(command: Command, list: List<T>): Command {
  return withListOptions(withShared(command), list);
}

/** As {@link withList}, for a list that does not come from a running system. */
export function withLocalList<T>(command: Command, list: List<T>): Command {
  return withListOptions(command.option('--json', 'JSON for programs'), list);
}

function withListOptions<T>(command: Command, list: List<T>): Command {
  const keys = list.columns.map(({ heading }) => keyOf(heading));
  return command
    .addOption(new Option('-o, --output <form>', 'form of the list (default: table)').choices([...LIST_FORMS]))
    .addOption(
      new Option('--sort <column>', `by a column, such as ${keys[0]}, or ${keys[0]}:desc`).argParser((text) =>
        parseSorting(text, keys),
      ),
    )
    .option('--no-headers', 'no line with headings');
}

export function parseSorting(text: string, keys: readonly string[]): Sorting {
  const [key = '', order = 'asc', ...more] = text.toLowerCase().split(':');
  if (!keys.includes(key) || !['asc', 'desc'].includes(order) || more.length > 0)
    throw new InvalidArgumentError(`columns are ${keys.join(', ')}; :desc turns the order round`);
  return { key, isDescending: order === 'desc' };
}

type Pages<T> = AsyncIterable<readonly T[]> | readonly T[];

/** Pages are shown as they come, unless all of them are needed first. */
export async function printList<T>(options: ListOptions, pages: Pages<T>, list: List<T>): Promise<void> {
  for await (const text of listTexts(options, pages, list)) process.stdout.write(text);
}

/** Each is one or more whole lines; control characters from the system are escaped. */
export async function* listTexts<T>(
  { headers, json, output = json ? 'json' : 'table', sort: sorting }: ListOptions,
  pages: Pages<T>,
  list: List<T>,
): AsyncGenerator<string> {
  const columns = list.columns.filter(({ isWide }) => !isWide || output === 'wide');
  const table = new PagedTable(
    columns.map(({ heading }) => heading),
    headers ?? true,
  );
  const textOf = (items: readonly T[]): string => {
    const lines =
      output === 'name'
        ? items.map(list.name).join('\n')
        : table.page(items.map((item) => columns.map(({ cell }) => cell(item))));
    return lines === '' ? '' : `${escapeControls(lines)}\n`;
  };
  const isWhole = sorting !== undefined || output === 'json' || output === 'yaml';
  const all: T[] = [];
  for await (const items of 'length' in pages ? [pages] : pages) {
    if (isWhole) all.push(...items);
    else yield textOf(items);
  }
  if (!isWhole) return;
  const sorted = sorting ? sort(all, list, sorting) : all;
  const data = list.data ? sorted.map(list.data) : sorted;
  if (output === 'json') yield `${escapeJson(JSON.stringify(data, null, 2))}\n`;
  else if (output === 'yaml') {
    const { toYaml } = await import('./yaml.js');
    yield escapeControls(toYaml(data));
  } else yield textOf(sorted);
}

/** Numbers by their value, texts as people count (`host-2` before `host-10`), what has no value last. */
export function sort<T>(items: readonly T[], { columns }: List<T>, { key, isDescending }: Sorting): T[] {
  const column = columns.find(({ heading }) => keyOf(heading) === key);
  const keyed = items.map((item) => ({ item, value: sortValue(column?.cell(item)) }));
  const sign = isDescending ? -1 : 1;
  keyed.sort(({ value: a }, { value: b }) => {
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
    return sign * collator.compare(String(a), String(b));
  });
  return keyed.map(({ item }) => item);
}

const collator = new Intl.Collator('en', { numeric: true });

function sortValue(cell: Cell): string | number | null {
  const value = cell !== null && typeof cell === 'object' ? cell.by : cell;
  return value === undefined || value === '' || value === '-' ? null : value;
}
