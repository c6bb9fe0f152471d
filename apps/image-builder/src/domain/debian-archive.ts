/** Which of this machine's package sources is Debian's main archive. */

/** The format in which `apt-get indextargets` prints each source, see {@link mainArchive}. */
export const SOURCE_FORMAT = '$(REPO_URI)|$(LABEL)';

/**
 * @param lines of {@link SOURCE_FORMAT}; the label is empty when the machine has never fetched the source
 * @returns the address without a slash at its end; undefined: none of them is it
 */
export function mainArchive(lines: readonly string[]): string | undefined {
  const sources = lines.flatMap((line) => {
    const [uri = '', label = ''] = line.split('|');
    return /^https?:\/\//.test(uri) ? [{ uri: uri.replace(/\/+$/, ''), label }] : [];
  });
  const main =
    sources.find(({ label }) => label === 'Debian') ??
    sources.find(({ uri, label }) => label === '' && uri.endsWith('/debian'));
  return main?.uri;
}
