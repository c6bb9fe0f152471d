/** `plinth __complete -- WORDS…`: what a shell asks. */
import { escapeControls } from '@plinth/client';
import { Command } from 'commander';
import { COMMANDS } from '../commands/index.js';
import { candidates } from './candidates.js';
import { namesOf } from './names.js';

/** @param words those after `plinth` */
export async function complete(words: readonly string[]): Promise<void> {
  const program = new Command('plinth').enablePositionalOptions();
  for (const load of Object.values(COMMANDS)) (await load()).register(program);
  const present = words.at(-1) ?? '';
  const { words: found, named, files } = candidates(program, words);
  const names = named ? await namesOf(named) : [];
  const lines = [...found, ...names].filter((word) => word.startsWith(present));
  for (const line of new Set(files ? [...lines, ':files'] : lines)) process.stdout.write(`${escapeControls(line)}\n`);
}
