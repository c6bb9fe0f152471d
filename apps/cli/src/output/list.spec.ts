import { expect, it } from '@jest/globals';
import { type List, type ListOptions, listTexts, parseSorting, sort } from './list.js';

interface Host {
  readonly host: string;
  readonly bytes: number | null;
}
const LIST: List<Host> = {
  name: ({ host }) => host,
  columns: [
    { heading: 'HOST', cell: ({ host }) => host },
    { heading: 'MEMORY GIVEN', cell: ({ bytes }) => ({ text: bytes === null ? '-' : `${bytes} B`, by: bytes }) },
    { heading: 'NOTE', isWide: true, cell: () => null },
  ],
};
const HOSTS: readonly Host[] = [
  { host: 'host-10', bytes: 9 },
  { host: 'host-2', bytes: null },
  { host: 'host-1', bytes: 80 },
];
const KEYS = ['host', 'memory-given', 'note'];

async function written(...given: Parameters<typeof listTexts<Host>>): Promise<string> {
  let text = '';
  for await (const part of listTexts(...given)) text += part;
  return text;
}

it.each<[string, string[]]>([
  ['host', ['host-1', 'host-2', 'host-10']],
  ['host:desc', ['host-10', 'host-2', 'host-1']],
  ['memory-given', ['host-10', 'host-1', 'host-2']],
  ['MEMORY-GIVEN:desc', ['host-1', 'host-10', 'host-2']],
])('sorts by %s, what has no value last', (text, expected) =>
  expect(sort(HOSTS, LIST, parseSorting(text, KEYS)).map(({ host }) => host)).toEqual(expected),
);

it.each(['', 'pid', 'host:up', 'host:asc:x'])('refuses to sort by %j, and names the columns', (text) =>
  expect(() => parseSorting(text, KEYS)).toThrow(/columns are host, memory-given, note/),
);

it.each<[string, ListOptions, string]>([
  ['a table', {}, 'HOST     MEMORY GIVEN\nhost-10  9 B\nhost-2   -\nhost-1   80 B\n'],
  ['without headings', { headers: false }, 'host-10  9 B\nhost-2   -\nhost-1   80 B\n'],
  [
    'a wide one',
    { output: 'wide' },
    'HOST     MEMORY GIVEN  NOTE\nhost-10  9 B           -\nhost-2   -             -\nhost-1   80 B          -\n',
  ],
  ['names', { output: 'name', sort: { key: 'host', isDescending: false } }, 'host-1\nhost-2\nhost-10\n'],
  [
    'YAML',
    { output: 'yaml' },
    '- host: host-10\n  bytes: 9\n- host: host-2\n  bytes: null\n- host: host-1\n  bytes: 80\n',
  ],
  ['JSON', { json: true }, `${JSON.stringify(HOSTS, null, 2)}\n`],
])('prints %s', async (_name, options, expected) => {
  expect(await written(options, HOSTS, LIST)).toBe(expected);
});

it('prints pages as they come under one line of headings, and none at all for names of nothing', async () => {
  async function* pages(): AsyncGenerator<readonly Host[]> {
    yield HOSTS.slice(0, 1);
    yield HOSTS.slice(1, 2);
  }
  expect(await written({}, pages(), LIST)).toBe('HOST     MEMORY GIVEN\nhost-10  9 B\nhost-2   -\n');
  expect(await written({ output: 'name' }, [], LIST)).toBe('');
});
