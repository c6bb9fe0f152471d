/** What stands before and after `--` on a command line; the option parser itself forgets where it stood. */

export interface SplitWords {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/**
 * @param positional what the option parser took for arguments, in order, without `--`
 * @param raw the whole command line
 */
export function splitAtDashes(positional: readonly string[], raw: readonly string[]): SplitWords {
  const dashes = raw.indexOf('--');
  const count = dashes < 0 ? 0 : raw.length - dashes - 1;
  const at = Math.max(0, positional.length - count);
  return { before: positional.slice(0, at), after: positional.slice(at) };
}
