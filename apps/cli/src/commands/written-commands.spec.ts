/** Each command that a document, a message or the console's page writes out is there, with its options. */
import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { wholeProgram } from '../program.js';

const top = join(import.meta.dirname, '../../../..');
const program = await wholeProgram();

/** Quoted, or on a line of its own: not the system's name in a sentence. */
const WRITTEN =
  /(?:[`'"]|\n(?: {2,}|\$ |sudo )|(?:&&|\||;) (?=\.\/))(?:sudo )?(?:\.\/)?plinth ([a-z]+(?: [^`'"\n;#|&)]*)?)/g;
/** `plinth setup` is the wrapper's; the other is the head of a file. */
const NO_COMMANDS = new Set(['setup', 'object']);

/** Of a template only its text, also that of the templates in it. */
function flat(text: string): string {
  let before = '';
  let after = text.replaceAll(/[`'] \+\n\s*[`']/g, '');
  while (after !== before) {
    before = after;
    after = before.replaceAll(/\$\{[^{}]*\}/g, (value) => (value.match(/ --[a-z-]+/g) ?? ['X']).join(''));
  }
  return after;
}

/** @returns why the line is no command; undefined: it is one */
function problemOf(line: string): string | undefined {
  let command: Command = program;
  let isValue = false;
  for (const word of line.split(/ {2,}/)[0]?.split(' ') ?? []) {
    if (word === '--') return undefined;
    const flag = /^--?[a-z][a-z-]*/.exec(word)?.[0];
    if (flag !== undefined && flag !== '--help') {
      const options = command.options.filter(({ long, short }) => [long, short].includes(flag));
      if (options.length === 0) return `${command.name()} has no ${flag}`;
      isValue = options.some(({ required, optional }) => required || optional) && !word.includes('=');
    } else if (isValue) isValue = false;
    else if (/^[a-z-]+$/.test(word) && command.commands.length > 0) {
      const next = command.commands.find((each) => each.name() === word);
      if (next === undefined && command.registeredArguments.length === 0) return `${command.name()} has no ${word}`;
      command = next ?? command;
    }
  }
  return undefined;
}

it('knows the commands that are written out', () => {
  const listed = spawnSync('git', ['ls-files', '-z', '*.md', '*.ts', '*.tsx'], { cwd: top, encoding: 'utf8' });
  const files = listed.stdout.split('\0').filter((file) => file !== '' && existsSync(join(top, file)));
  const lines = files.flatMap((file) =>
    [...flat(readFileSync(join(top, file), 'utf8')).matchAll(WRITTEN)].map(([, line = '']) => ({ file, line })),
  );
  expect(lines.length).toBeGreaterThan(100);
  const wrong = lines.flatMap(({ file, line }) => {
    const problem = NO_COMMANDS.has(line.split(' ')[0] ?? '') ? undefined : problemOf(line);
    return problem === undefined ? [] : [`${file}: plinth ${line}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});
