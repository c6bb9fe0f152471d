/**
 * Reads dpkg's list of installed packages (deb822(5), dpkg-query(1)). The text is an image's own, so nothing in it is
 * trusted.
 */
import type { ImagePackage } from '@plinth/contracts';

/** More than the whole of Debian main. */
export const MAX_PACKAGES = 100_000;
const NAME = /^[a-z0-9][a-z0-9+.-]{0,127}$/;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9.+~:-]{0,127}$/;
const ARCHITECTURE = /^[a-z0-9][a-z0-9-]{0,31}$/;
const FIELDS: readonly string[] = ['Package', 'Version', 'Architecture', 'Status'];

/**
 * Packages of one or more stanzas that are installed, or that have no status at all, as in `status.d`, where each file
 * is one package. A stanza without a proper name, version or architecture is passed over.
 */
export function parseDpkgStatus(text: string): ImagePackage[] {
  const packages: ImagePackage[] = [];
  let fields = new Map<string, string>();
  const finish = (): void => {
    const found = packageOf(fields);
    if (found && packages.length < MAX_PACKAGES) packages.push(found);
    fields = new Map();
  };
  for (const line of linesOf(text)) {
    if (line.trim() === '') {
      if (fields.size > 0) finish();
      continue;
    }
    const colon = line.indexOf(':');
    // Continuation lines begin with a blank; the first of two fields of one name counts.
    const name = line.slice(0, Math.max(colon, 0));
    if (FIELDS.includes(name) && !fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  finish();
  return packages;
}

/** More than any used field has; a longer line is no such field. */
const LINE = 300;

/**
 * The beginnings of the lines. They are yielded one by one: a text of line breaks alone would be a list of millions.
 */
function* linesOf(text: string): Generator<string> {
  for (let start = 0; start <= text.length;) {
    const end = text.indexOf('\n', start);
    const stop = end < 0 ? text.length : end;
    yield text.slice(start, Math.min(stop, start + LINE));
    start = stop + 1;
  }
}

function packageOf(fields: ReadonlyMap<string, string>): ImagePackage | undefined {
  const status = fields.get('Status');
  // want, flag, state: the third is the installed state.
  if (status !== undefined && status.split(/\s+/)[2] !== 'installed') return undefined;
  const [name = '', version = '', architecture = ''] = ['Package', 'Version', 'Architecture'].map((field) =>
    fields.get(field),
  );
  return NAME.test(name) && VERSION.test(version) && ARCHITECTURE.test(architecture)
    ? { name, version, architecture }
    : undefined;
}

/** Sorts packages by name and architecture, each once. */
export function sortPackages(packages: readonly ImagePackage[]): ImagePackage[] {
  const byKey = new Map(packages.map((found) => [packageKey(found), found]));
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, found]) => found);
}

/** Two architectures of one package may be installed side by side. */
export function packageKey({ name, architecture }: { readonly name: string; readonly architecture: string }): string {
  return `${name}:${architecture}`;
}
