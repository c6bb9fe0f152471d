import { mkdtempSync, rmSync, type watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type DirectoryWatch, watchDirectory } from './directory-watch.js';

let directory: string;
let seen: string[];
let watching: DirectoryWatch;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'plinth-watch-'));
  seen = [];
  writeFileSync(join(directory, 'old'), '');
});

afterEach(() => {
  watching.close();
  rmSync(directory, { recursive: true });
});

async function reported(name: string): Promise<void> {
  writeFileSync(join(directory, name), '');
  while (!seen.includes(name)) await delay(10);
}

it('reports a new file', async () => {
  watching = watchDirectory(directory, (name) => seen.push(name));
  expect(watching.by).toBe('inotify');
  await reported('new');
});

it.each(['EMFILE', 'ENOSPC'])('reports it also when inotify answers %s', async (code) => {
  const exhausted = (() => {
    throw Object.assign(new Error(code), { code });
  }) as unknown as typeof watch;
  watching = watchDirectory(directory, (name) => seen.push(name), exhausted);
  expect(watching.by).toBe('poll');
  await reported('new');
  expect(seen).toEqual(['new']);
});
