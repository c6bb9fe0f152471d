/**
 * A copy of the installation with single lines of compiled files changed, so that the product needs no switch for a
 * harness. A program with a changed line that its bundle shows differently loads the compiled files one by one.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Edit {
  /** Path below the installation. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const APPS = ['provisioner', 'host-agent', 'distributor', 'image-builder'] as const;

/**
 * Runs first in every service: its time of day is the machine's, moved by the milliseconds in a file beside it. To the
 * process this is a clock that has jumped.
 */
const CLOCK = `import { readFileSync } from 'node:fs';
const file = new URL('./clock-offset', import.meta.url);
let offset = 0;
const look = () => {
  try {
    offset = Number(readFileSync(file, 'utf8'));
  } catch {
    offset = 0;
  }
};
look();
setInterval(look, 50).unref();
const now = Date.now;
Date.now = () => now() + offset;
globalThis.Date = new Proxy(Date, {
  construct: (target, args, own) => Reflect.construct(target, args.length === 0 ? [Date.now()] : args, own),
  apply: () => new Date().toString(),
});
`;

export interface Installation {
  readonly directory: string;
  /** Moves the time of day of all services of one kind. */
  moveClock(app: (typeof APPS)[number], byMs: number): void;
  remove(): void;
}

const distOf = (directory: string, app: string): string => join(directory, 'apps', app, 'dist');
const mainOf = (directory: string, app: string): string => join(distOf(directory, app), 'main.js');
/** The program's own `main.js`. */
const BUNDLED = 'bundled-main.js';

/** @throws Error when a file does not have the text that an edit replaces */
export function copyInstallation(from: string, edits: readonly Edit[]): Installation {
  const directory = mkdtempSync(join(tmpdir(), 'plinth-planted-'));
  for (const part of ['apps', 'libs', 'recipes', 'demo', 'package.json'])
    cpSync(join(from, part), join(directory, part), { recursive: true });
  mkdirSync(join(directory, 'node_modules'));
  for (const entry of readdirSync(join(from, 'node_modules'))) {
    // The workspace packages are links to apps and libs.
    if (entry === '@plinth')
      cpSync(join(from, 'node_modules', entry), join(directory, 'node_modules', entry), {
        recursive: true,
        verbatimSymlinks: true,
      });
    else symlinkSync(join(from, 'node_modules', entry), join(directory, 'node_modules', entry));
  }
  for (const { file, find, replace } of edits) {
    const path = join(directory, file);
    const text = readFileSync(path, 'utf8');
    if (!text.includes(find)) throw new Error(`${file} has no ${JSON.stringify(find)} any more`);
    writeFileSync(path, text.replace(find, replace));
  }
  for (const app of [...APPS, 'cli']) {
    const isBundled = edits.map((edit) => editBundle(distOf(directory, app), edit)).every(Boolean);
    renameSync(mainOf(directory, app), join(distOf(directory, app), BUNDLED));
    writeFileSync(join(distOf(directory, app), 'chaos-clock.js'), app === 'cli' ? '' : CLOCK);
    const program = isBundled ? `./${BUNDLED}` : '../build/main.js';
    writeFileSync(mainOf(directory, app), `import './chaos-clock.js';\nimport '${program}';\n`);
  }
  return {
    directory,
    moveClock: (app, byMs) => writeFileSync(join(distOf(directory, app), 'clock-offset'), String(byMs)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** @returns whether the bundle is now as the edit wants it: changed, or without the file */
function editBundle(dist: string, { file, find, replace }: Edit): boolean {
  for (const name of readdirSync(dist).filter((entry) => entry.endsWith('.js'))) {
    const path = join(dist, name);
    const text = readFileSync(path, 'utf8');
    // The bundler writes the path of each module above its code.
    const begin = text.indexOf(`// ${file}\n`);
    if (begin === -1) continue;
    const length = text.slice(begin + 1).search(/^\/\/ (?:apps|libs|node_modules)\//m);
    const end = length === -1 ? text.length : begin + 1 + length;
    const module = text.slice(begin, end);
    if (!module.includes(find)) return false;
    writeFileSync(path, text.slice(0, begin) + module.replace(find, replace) + text.slice(end));
  }
  return true;
}
