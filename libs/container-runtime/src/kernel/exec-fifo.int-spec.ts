import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { letGo } from './exec-fifo.js';
import { type RuntimePaths, runtimePaths } from '../run/runtime-paths.js';

const ID = 'a'.repeat(32);

let root: string;
let paths: RuntimePaths;
let pipe: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'plinth-fifo-'));
  paths = { ...runtimePaths(root), runtimeRoot: root };
  mkdirSync(join(root, ID));
  pipe = join(root, ID, 'exec.fifo');
});

afterEach(() => rmSync(root, { recursive: true }));

describe('letGo', () => {
  it('gives the waiting process its byte and takes the pipe away', () => {
    execFileSync('mkfifo', [pipe]);
    const waiting = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    expect(letGo(paths.runtimeRoot, ID)).toBe(true);
    expect(readSync(waiting, Buffer.alloc(8))).toBe(1);
    closeSync(waiting);
    expect(existsSync(pipe)).toBe(false);
  });

  it('leaves the pipe for the runtime when no process waits', () => {
    expect(letGo(paths.runtimeRoot, ID)).toBe(false);
    execFileSync('mkfifo', [pipe]);
    expect(letGo(paths.runtimeRoot, ID)).toBe(false);
    expect(existsSync(pipe)).toBe(true);
  });
});
