/**
 * conmon's `k8s-file` log: `<time> stdout|stderr F|P <text>`; P marks a piece of a line that goes on in the next entry
 * of its stream.
 */

export type LogStream = 'stdout' | 'stderr';

export interface LogLine {
  readonly stream: LogStream;
  /** Of its first piece, as conmon wrote it (RFC 3339 with nanoseconds). */
  readonly time: string;
  readonly text: Buffer;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
/** A line that never ends is cut into lines of this size. */
const LONGEST_LINE_BYTES = 64 * 1024;

/** Takes pieces of a log file in order, however they are cut; returns whole lines. */
export class ConmonLogParser {
  private rest = Buffer.alloc(0);
  private readonly open = new Map<LogStream, { readonly time: string; readonly pieces: Buffer[]; bytes: number }>();

  *push(chunk: Buffer): Generator<LogLine> {
    let data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
      const line = this.take(data.subarray(0, end));
      if (line) yield line;
      data = data.subarray(end + 1);
    }
    this.rest = Buffer.from(data);
  }

  /** Returns the lines without an end; called at the end of the log, not while it is followed. */
  *flush(): Generator<LogLine> {
    for (const [stream, { time, pieces }] of this.open) yield { stream, time, text: Buffer.concat(pieces) };
    this.open.clear();
  }

  private take(entry: Buffer): LogLine | undefined {
    const afterTime = entry.indexOf(SPACE);
    const afterStream = entry.indexOf(SPACE, afterTime + 1);
    const tag = entry[afterStream + 1];
    // Anything else is not an entry but a line torn by a crash of the machine.
    if (afterTime < 1 || afterStream < 0 || entry[afterStream + 2] !== SPACE || (tag !== 0x46 && tag !== 0x50))
      return undefined;
    const name = entry.toString('latin1', afterTime + 1, afterStream);
    if (name !== 'stdout' && name !== 'stderr') return undefined;
    const line = this.open.get(name) ?? { time: entry.toString('latin1', 0, afterTime), pieces: [], bytes: 0 };
    const text = entry.subarray(afterStream + 3);
    line.pieces.push(text);
    line.bytes += text.length;
    if (tag === 0x50 && line.bytes < LONGEST_LINE_BYTES) {
      this.open.set(name, line);
      return undefined;
    }
    this.open.delete(name);
    return { stream: name, time: line.time, text: Buffer.concat(line.pieces) };
  }
}
