#!/usr/bin/env node
/** `plinth`: the operator's tool. Every command is one file in `commands/`, loaded when it is asked for. */
// First: contracts' decorators need it, and parts of a program are loaded in any order.
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { CommanderError } from 'commander';
import { COMMANDS } from './commands/index.js';
import { emptyProgram } from './program.js';

/** The version of the package that this file belongs to. */
function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const program = emptyProgram()
  .version(version(), '-V, --version', 'print the version')
  .showSuggestionAfterError()
  .exitOverride();

/**
 * The reader of `plinth ps | head -1` closes the pipe. The exit code is that of a program that SIGPIPE kills; Node
 * ignores that signal.
 */
function endWithReader(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(128 + constants.signals.SIGPIPE);
  });
}

/** Loads only the command that is asked for; help loads all. */
async function load(asked: string | undefined): Promise<void> {
  const names = Object.keys(COMMANDS);
  const wanted = asked !== undefined && names.includes(asked) ? [asked] : names;
  for (const name of wanted) {
    const module = await COMMANDS[name]?.();
    module?.register(program);
  }
}

endWithReader(process.stdout);
endWithReader(process.stderr);
try {
  const [first, ...rest] = process.argv.slice(2);
  if (first === '__complete') {
    const { complete } = await import('./completion/complete.js');
    await complete(rest[0] === '--' ? rest.slice(1) : rest);
    process.exit();
  }
  await load(process.argv.slice(2).find((word) => !word.startsWith('-')));
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const { ServerStartError } = await import('@plinth/local-servers');
    process.stderr.write(`plinth: ${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof ServerStartError && error.logTail) process.stderr.write(`${error.logTail}\n`);
    if (process.env.PLINTH_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = process.exitCode || 1;
  }
}
