/** flock(2) as the kernel does it, between processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scratchDirectory } from '@plinth/testkit';
import { isFileLocked, lockDescriptor, takeFileLock, tryFileLock, tryTransientLock } from './file-lock.js';
import { SystemCallError } from './libc.js';

const scratch = scratchDirectory();
afterAll(() => scratch.stop());
const fresh = (name: string): string => join(scratch.path, name);

/** Another process that has taken the lock when this resolves, and holds it until its standard input ends. */
async function holder(path: string): Promise<ChildProcess> {
  const script = `
    import { tryFileLock } from ${JSON.stringify(join(import.meta.dirname, '../dist/index.js'))};
    process.stdout.write(tryFileLock(${JSON.stringify(path)}) ? 'taken' : 'refused');
    process.stdin.resume();
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [answer] = (await once(child.stdout, 'data')) as [Buffer];
  expect(answer.toString()).toBe('taken');
  return child;
}

describe('tryFileLock', () => {
  it('is seen while it is held, and not taken a second time', () => {
    const path = fresh('lock');
    expect(isFileLocked(path)).toBe(false);
    const lock = tryFileLock(path);
    expect(isFileLocked(path)).toBe(true);
    expect(tryFileLock(path)).toBeUndefined();
    expect(statSync(path).size).toBeLessThan(20);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    lock?.release();
    expect(isFileLocked(path)).toBe(false);
  });

  it('is refused while another process holds it, and free when that one is killed', async () => {
    const path = fresh('contended');
    const other = await holder(path);
    expect(isFileLocked(path)).toBe(true);
    expect(tryFileLock(path)).toBeUndefined();
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(isFileLocked(path)).toBe(false);
    const lock = tryFileLock(path);
    expect(lock).toBeDefined();
    lock?.release();
  });

  it('is taken when the last child of a holder that was killed has ended, and refused while the holder lives', async () => {
    const path = fresh('inherited');
    const other = await holder(path);
    expect(await takeFileLock(path, 60_000)).toBeUndefined();
    other.kill('SIGKILL');
    await once(other, 'exit');
    // Holds it as a child does that has the holder's open file: the file names the one that has ended.
    const child = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    expect(tryFileLock(path)).toBeUndefined();
    const taking = takeFileLock(path, 60_000);
    child.stdin.end();
    const lock = await taking;
    expect(lock).toBeDefined();
    lock?.release();
  });

  it('is waited for, too, when the holder is a zombie', async () => {
    const path = fresh('zombie');
    // What the shell becomes does not wait for its child.
    const parent = spawn('sh', ['-c', 'sleep infinity & echo $!; exec tail -f /dev/null'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [pid] = (await once(parent.stdout, 'data')) as [Buffer];
    const nameOf = (): string => readFileSync(`/proc/${parent.pid}/comm`, 'utf8').trim();
    while (nameOf() !== 'tail') await new Promise((resolve) => setImmediate(resolve));
    process.kill(Number(pid.toString()), 'SIGKILL');
    const child = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    writeFileSync(path, pid.toString());
    const stateOf = (): string => readFileSync(`/proc/${pid.toString().trim()}/stat`, 'utf8').split(' ')[2] ?? '';
    while (stateOf() !== 'Z') await new Promise((resolve) => setImmediate(resolve));
    const taking = takeFileLock(path, 60_000);
    child.stdin.end();
    const lock = await taking;
    parent.kill('SIGKILL');
    expect(lock).toBeDefined();
    lock?.release();
  });

  it('does not take a file of another file system with the same inode for the lock', () => {
    const path = fresh('other');
    const lock = tryFileLock(path);
    // The same inode is locked, and the file names another process: that is how a file of the same number looks.
    writeFileSync(path, '1\n');
    expect(isFileLocked(path)).toBe(false);
    lock?.release();
  });

  it('takes nothing but a holder for one: every other refusal of the kernel is an error with its name', () => {
    const closed = openSync(fresh('closed'), 'w');
    closeSync(closed);
    let thrown: unknown;
    try {
      lockDescriptor(closed, fresh('closed'));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SystemCallError);
    expect(thrown).toMatchObject({ code: 'EBADF', syscall: 'flock', message: expect.stringContaining('EBADF: flock') });
  });

  it('names the file that can not be opened', () => {
    expect(() => tryFileLock(fresh('no/such/directory'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

describe('tryTransientLock', () => {
  it('removes its file, and is held by one at a time', () => {
    const path = fresh('transient');
    const lock = tryTransientLock(path);
    expect(tryTransientLock(path)).toBeUndefined();
    lock?.release();
    expect(existsSync(path)).toBe(false);
    const next = tryTransientLock(path);
    expect(next).toBeDefined();
    next?.release();
  });

  it('takes over the file that a killed process has left', () => {
    const path = fresh('left');
    writeFileSync(path, '');
    const lock = tryTransientLock(path);
    expect(lock).toBeDefined();
    lock?.release();
  });
});
