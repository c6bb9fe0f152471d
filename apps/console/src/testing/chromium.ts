import { existsSync } from 'node:fs';

const PLACES = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

/** Debian's. @throws when it is not installed */
export function chromiumPath(): string {
  const found = PLACES.find((place) => existsSync(place));
  if (found === undefined) throw new Error('there is no chromium; run: ./plinth setup --tests');
  return found;
}
