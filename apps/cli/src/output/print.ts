/** Standard output: text for people or JSON for programs. */
export interface OutputOptions {
  readonly json?: boolean;
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function print(options: OutputOptions, data: unknown, text: () => string): void {
  printLine(options.json ? JSON.stringify(data, null, 2) : text());
}
