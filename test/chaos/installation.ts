/**
 * A copy of the installation with single lines of compiled files changed, so that the product needs no switch for a
 * harness. Its programs load these files one by one, not the bundle that the build makes of them.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

const mainOf = (directory: string, app: string): string => join(directory, 'apps', app, 'dist', 'main.js');

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
  for (const app of APPS) {
    writeFileSync(join(directory, 'apps', app, 'dist', 'chaos-clock.js'), CLOCK);
    writeFileSync(mainOf(directory, app), `import './chaos-clock.js';\nimport '../build/main.js';\n`);
  }
  writeFileSync(mainOf(directory, 'cli'), `import '../build/main.js';\n`);
  return {
    directory,
    moveClock: (app, byMs) => writeFileSync(join(directory, 'apps', app, 'dist', 'clock-offset'), String(byMs)),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
