/** `plinth __complete -- WORDS…`: what a shell asks. */
import { escapeControls } from '@plinth/client';
import { wholeProgram } from '../program.js';
import { candidates } from './candidates.js';
import { namesOf } from './names.js';

/** @param words those after `plinth` */
export async function complete(words: readonly string[]): Promise<void> {
  const program = await wholeProgram();
  const present = words.at(-1) ?? '';
  const { words: found, named, files } = candidates(program, words);
  const names = named ? await namesOf(named) : [];
  const lines = [...found, ...names].filter((word) => word.startsWith(present));
  for (const line of new Set(files ? [...lines, ':files'] : lines)) process.stdout.write(`${escapeControls(line)}\n`);
}
