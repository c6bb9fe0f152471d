/** The log of one build: a file that stays, and its last lines for events and replies. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { Tail } from './process.js';

/** Bytes of one log file; further output of a build is only in the tail. */
const MAX_BYTES = 32 * 1024 ** 2;
/** Bytes of the tail in events and replies. */
const TAIL_BYTES = 12_000;

export class BuildLog {
  private readonly last = new Tail();
  private written = 0;

  private constructor(private readonly stream: WriteStream) {}

  static async open(path: string): Promise<BuildLog> {
    await mkdir(dirname(path), { recursive: true, mode: 0o750 });
    const stream = createWriteStream(path, { flags: 'a', mode: 0o640 });
    // A full disk must not end the process; the build itself fails on it as well and reports it.
    stream.on('error', () => stream.destroy());
    return new BuildLog(stream);
  }

  line(text: string): void {
    this.last.add(text);
    this.written += text.length + 1;
    if (this.written < MAX_BYTES && !this.stream.destroyed) this.stream.write(`${text}\n`);
  }

  get tail(): string {
    const text = this.last.text.slice(-TAIL_BYTES);
    // PostgreSQL's text holds no NUL.
    return text.replaceAll('\0', '�');
  }

  async close(): Promise<void> {
    if (this.stream.destroyed) return;
    this.stream.end();
    await finished(this.stream).catch(() => undefined);
  }
}
