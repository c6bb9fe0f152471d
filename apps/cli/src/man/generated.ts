/** The text of `man/plinth.1`, the same on every machine. */
import { Command } from 'commander';

export async function generatedPage(version: string): Promise<string> {
  // The defaults of help must not be those of a context of this user.
  process.env['XDG_CONFIG_HOME'] = '/nonexistent';
  delete process.env['PLINTH_CONTEXT'];
  const { COMMANDS } = await import('../commands/index.js');
  const { manPage } = await import('./man-page.js');
  const program = new Command('plinth')
    .description('thousands of containers on shared, versioned, read-only OS images')
    .enablePositionalOptions();
  for (const load of Object.values(COMMANDS)) (await load()).register(program);
  return manPage(program, version);
}
