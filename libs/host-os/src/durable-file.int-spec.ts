/** Files on a real file system, written by processes that are killed, on disks that are full. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { scratchDirectory } from '@plinth/testkit';
import { removeTemporaries, writeDurably, writeInPlace, writeWhole } from './durable-file.js';

const scratch = scratchDirectory();
afterAll(() => scratch.stop());
let directory = '';
let file = '';
let count = 0;
beforeEach(() => {
  directory = join(scratch.path, String(++count));
  mkdirSync(directory);
  file = join(directory, 'record.json');
});
const modeOf = (path: string): number => statSync(path).mode & 0o7777;

describe('writeDurably and writeWhole', () => {
  it.each([
    ['writeDurably', writeDurably],
    ['writeWhole', writeWhole],
  ])('%s replaces a file and leaves nothing beside it', async (_name, write) => {
    await write(file, 'old');
    await write(file, 'new');
    expect(readdirSync(directory)).toEqual(['record.json']);
    expect(readFileSync(file, 'utf8')).toBe('new');
  });

  it('gives the file the mode that it is given, 0600 without one, under any umask', async () => {
    const umask = process.umask(0o077);
    try {
      await writeDurably(file, '', { mode: 0o644 });
      expect(modeOf(file)).toBe(0o644);
      process.umask(0);
      await writeDurably(file, '');
      expect(modeOf(file)).toBe(0o600);
    } finally {
      process.umask(umask);
    }
  });

  it('leaves the old file alone when the writer is killed, and nothing that looks like the new one', async () => {
    writeFileSync(file, '"old"');
    const script = `
      import { writeDurably } from ${JSON.stringify(join(import.meta.dirname, '../dist/index.js'))};
      for (;;) await writeDurably(${JSON.stringify(file)}, '"old"' + ' '.repeat(64 * 1024 ** 2));
    `;
    const writer = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    while (readdirSync(directory).length < 2) await nextTurn();
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toBe('old');
    const left = readdirSync(directory).filter((name) => name !== 'record.json');
    expect(left.filter((name) => name.endsWith('.json') || !name.startsWith('.'))).toEqual([]);
    await removeTemporaries(directory, 0);
    expect(readdirSync(directory)).toEqual(['record.json']);
  });

  it('keeps the old file, and leaves nothing, on a full disk', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'plinth-test', directory]);
    try {
      await writeDurably(file, 'old');
      await expect(writeDurably(file, 'x'.repeat(100_000))).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(readdirSync(directory)).toEqual(['record.json']);
      expect(readFileSync(file, 'utf8')).toBe('old');
    } finally {
      execFileSync('umount', [directory]);
    }
  });
});

describe('writeInPlace', () => {
  it('makes the file with its mode, then writes over the same inode', async () => {
    await writeInPlace(file, '{"first":1}', { mode: 0o644, flushed: true });
    const { ino } = statSync(file);
    await writeInPlace(file, '{"n":2}', { mode: 0o644, flushed: false });
    expect(statSync(file).ino).toBe(ino);
    expect(modeOf(file)).toBe(0o644);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ n: 2 });
    expect(readdirSync(directory)).toEqual(['record.json']);
  });

  it('replaces a file of another size, and what a killed writer has left', async () => {
    writeFileSync(file, 'torn');
    writeFileSync(join(directory, '.record.json.tmp'), 'half');
    await writeInPlace(file, '{}', { flushed: true });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({});
    expect(readdirSync(directory)).toEqual(['record.json']);
  });

  it('refuses what does not fit', async () => {
    await expect(writeInPlace(file, 'x'.repeat(4097), { flushed: false })).rejects.toThrow(RangeError);
  });
});

describe('removeTemporaries', () => {
  it('leaves young ones to a living writer, and all other files alone', async () => {
    const [young, old] = [join(directory, '.a.json.1.tmp'), join(directory, '.a.json.2.tmp')];
    for (const path of [young, old, file]) writeFileSync(path, '');
    const now = Date.now();
    utimesSync(old, (now - 120_000) / 1000, (now - 120_000) / 1000);
    await removeTemporaries(directory, 60_000, now);
    expect(readdirSync(directory).sort()).toEqual(['.a.json.1.tmp', 'record.json']);
  });
});
