/** The log files that conmon writes: reading, following over rotations, and rotating. */
import { constants as fs, statSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { OciRuntime } from '@plinth/container-runtime';
import { ConmonLogParser, type LogLine } from '../domain/conmon-log.js';
import { hasCode, isMissing } from '@plinth/host-os';

export interface LogLimits {
  /** Size at which a log is rotated, bytes. */
  readonly maxBytes: number;
  /** Rotated files that are kept: `<log>.1` is the youngest. */
  readonly keep: number;
}

const LOG_NAME = /^([0-9a-f]{32})\.log$/;
/** Logs measured between two turns of the event loop. */
const SIZES_AT_ONCE = 100;
const READ_BYTES = 256 * 1024;
/** Between two reads of a followed log that has not grown. */
const FOLLOW_MS = 150;
const REOPEN_PATIENCE_MS = 500;
/** A command for conmon's control pipe: "<type> <a> <b>"; type 2 reopens the log (conmon, ctrl.c). */
const REOPEN_LOGS = '2 0 0\n';

export class ContainerLogs {
  constructor(
    private readonly runtime: Pick<OciRuntime, 'logPath' | 'paths'>,
    private readonly limits: LogLimits,
  ) {}

  /** Whole lines, oldest first. @param following called at the end of the log: whether more lines may come */
  async *lines(id: string, following: () => boolean): AsyncGenerator<readonly LogLine[]> {
    const parser = new ConmonLogParser();
    let current = await this.openOldest(id);
    try {
      for (let more = true; more;) {
        if (current) {
          for await (const chunk of rest(current)) yield [...parser.push(chunk)];
          const next = await this.openNext(id, current);
          if (next) {
            // These lines were written between the last read and the rotation.
            for await (const chunk of rest(current)) yield [...parser.push(chunk)];
            await current.file.close();
            current = next;
            continue;
          }
        } else {
          current = await this.openOldest(id);
        }
        more = following();
        if (more) {
          // The caller gets control, to notice that the requester is gone.
          yield [];
          await delay(FOLLOW_MS);
        }
      }
      yield [...parser.flush()];
    } finally {
      await current?.file.close();
    }
  }

  /** The end of a container's output, both streams, at most so many bytes. */
  async tail(id: string, bytes: number): Promise<string> {
    let text = Buffer.alloc(0);
    for await (const lines of this.lines(id, () => false)) {
      text = Buffer.concat([text, ...lines.flatMap((line) => [line.text, Buffer.from('\n')])]);
      if (text.length > bytes) text = text.subarray(text.length - bytes);
    }
    return text.toString('utf8');
  }

  async delete(id: string): Promise<void> {
    for (const path of this.files(id)) await rm(path, { force: true });
  }

  /**
   * Rotates logs that have grown too large. Sizes are read synchronously: a few microseconds each, where the thread
   * pool takes a hundred of processor time, every few seconds for each container.
   */
  async rotate(onError: (id: string, error: unknown) => void): Promise<void> {
    let looked = 0;
    for (const name of await readdir(this.runtime.paths.logs)) {
      const id = LOG_NAME.exec(name)?.[1];
      if (id === undefined) continue;
      if (++looked % SIZES_AT_ONCE === 0) await turn();
      try {
        const size = statSync(join(this.runtime.paths.logs, name), { throwIfNoEntry: false })?.size ?? 0;
        if (size > this.limits.maxBytes) await this.rotateOne(id);
      } catch (error) {
        if (!isMissing(error)) onError(id, error);
      }
    }
  }

  private async rotateOne(id: string): Promise<void> {
    const log = this.runtime.logPath(id);
    for (let number = this.limits.keep; number >= 1; number--) {
      await rename(`${log}.${number}`, `${log}.${number + 1}`).catch(ignoreMissing);
    }
    await rm(`${log}.${this.limits.keep + 1}`, { force: true });
    await rename(log, `${log}.1`);
    if (await this.reopenLog(id)) {
      const end = performance.now() + REOPEN_PATIENCE_MS;
      while (!(await exists(log)) && performance.now() < end) await delay(5);
      if (!(await exists(log))) {
        // conmon still writes to the old file: its content is dropped, so that the disk does not fill.
        await rename(`${log}.1`, log);
        await truncate(log, 0);
      }
    }
    if (this.limits.keep === 0) await rm(`${log}.1`, { force: true });
  }

  /** @returns false when no conmon reads the pipe: then no process writes to the log either */
  private async reopenLog(id: string): Promise<boolean> {
    try {
      const control = await open(join(this.runtime.paths.bundles, id, 'ctl'), fs.O_WRONLY | fs.O_NONBLOCK);
      try {
        await control.write(REOPEN_LOGS);
      } finally {
        await control.close();
      }
      return true;
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENXIO')) return false;
      throw error;
    }
  }

  /** The log's files, oldest first. */
  private files(id: string): string[] {
    const log = this.runtime.logPath(id);
    const rotated = Array.from(
      { length: this.limits.keep + 1 },
      (_, index) => `${log}.${this.limits.keep + 1 - index}`,
    );
    return [...rotated, log];
  }

  private async openOldest(id: string): Promise<OpenLog | undefined> {
    for (const path of this.files(id)) {
      const found = await openLog(path);
      if (found) return found;
    }
    return undefined;
  }

  /**
   * The file after this one, found by inode, because rotating renames them meanwhile; undefined when this is the
   * present one.
   */
  private async openNext(id: string, current: OpenLog): Promise<OpenLog | undefined> {
    const younger: OpenLog[] = [];
    let reached = false;
    for (const path of this.files(id).reverse()) {
      const found = await openLog(path);
      if (found?.inode === current.inode) reached = true;
      if (found && !reached) younger.unshift(found);
      else await found?.file.close();
      if (reached) break;
    }
    const [next, ...others] = younger;
    for (const other of others) await other.file.close();
    return next;
  }
}

interface OpenLog {
  readonly file: FileHandle;
  readonly inode: number;
  position: number;
}

async function openLog(path: string): Promise<OpenLog | undefined> {
  try {
    const file = await open(path, fs.O_RDONLY | fs.O_NOFOLLOW);
    return { file, inode: (await file.stat()).ino, position: 0 };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function* rest(log: OpenLog): AsyncGenerator<Buffer> {
  if ((await log.file.stat()).size < log.position) log.position = 0;
  for (;;) {
    const { bytesRead, buffer } = await log.file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, log.position);
    if (bytesRead === 0) return;
    log.position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
