/** Standard output: text for people or JSON for programs; control characters from the system are escaped. */
import { escapeControls, escapeJson } from '@plinth/client';

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
