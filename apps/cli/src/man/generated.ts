/** The text of `man/plinth.1`, the same on every machine. */

export async function generatedPage(version: string): Promise<string> {
  // The defaults of help must not be those of a context of this user.
  process.env['XDG_CONFIG_HOME'] = '/nonexistent';
  delete process.env['PLINTH_CONTEXT'];
  const { wholeProgram } = await import('../program.js');
  const { manPage } = await import('./man-page.js');
  return manPage(await wholeProgram(), version);
}
