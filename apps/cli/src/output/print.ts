/** Standard output: text for people or JSON for programs; control characters from the system are escaped. */
import { escapeControls, escapeJson } from '@plinth/client';
import { type Cell, PagedTable } from './table.js';

export interface OutputOptions {
  readonly json?: boolean;
}

/** One or more lines for people. */
export function printLine(text: string): void {
  process.stdout.write(`${escapeControls(text)}\n`);
}

/** @param indent 0: on one line */
export function printJson(data: unknown, indent = 2): void {
  process.stdout.write(`${escapeJson(JSON.stringify(data, null, indent))}\n`);
}

export function print(options: OutputOptions, data: unknown, text: () => string): void {
  if (options.json) printJson(data);
  else printLine(text());
}

/** A list whose pages come one after the other: each is shown as it comes; for programs, all in one array at the end. */
export async function printPages<T>(
  options: OutputOptions,
  pages: AsyncIterable<readonly T[]>,
  headings: readonly string[],
  row: (item: T) => readonly Cell[],
): Promise<void> {
  const shown = new PagedTable(headings);
  const all: T[] = [];
  for await (const items of pages) {
    if (options.json) all.push(...items);
    else printLine(shown.page(items.map(row)));
  }
  if (options.json) printJson(all);
}
