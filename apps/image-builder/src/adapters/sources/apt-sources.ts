/** The package sources of the machine that the builder runs on. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BuildRefusal } from '../../domain/build-refusal.js';
import { mainArchive, SOURCE_FORMAT } from '../../domain/debian-archive.js';

/** The Debian archive that this machine itself is kept up to date from. @throws BuildRefusal */
export async function machineMirror(signal: AbortSignal): Promise<string> {
  const advice = 'set PLINTH_DEBIAN_MIRROR for the builder, or name a mirror in the recipe';
  let stdout: string;
  try {
    ({ stdout } = await promisify(execFile)('apt-get', ['indextargets', '--format', SOURCE_FORMAT], { signal }));
  } catch (error) {
    signal.throwIfAborted();
    throw new BuildRefusal(
      'source-unavailable',
      `the package sources of the builder's machine could not be read; ${advice}`,
      { cause: error },
    );
  }
  const mirror = mainArchive(stdout.split('\n'));
  if (mirror === undefined)
    throw new BuildRefusal(
      'source-unavailable',
      `the builder's machine names no Debian mirror in its own package sources; ${advice}`,
    );
  return mirror;
}
