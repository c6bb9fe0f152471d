/** Output of containers as lines: from the pieces that a host agent sends, and as text that commands nothing. Pure. */

export type LogStream = 'stdout' | 'stderr';

export interface LogLine {
  /** When its first piece was written (RFC 3339 with nanoseconds). */
  readonly time: string;
  readonly stream: LogStream;
  /** As it was written, without the line's end; what is no UTF-8 is U+FFFD. */
  readonly text: string;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
/** An agent ends lines long before; one that does not is hostile. */
const LONGEST_BYTES = 256 * 1024;
const LONGEST_TIME = 40;

/** Joins lines that were cut between two messages. */
export class LogLines {
  private readonly rest: Record<LogStream, Uint8Array> = { stdout: new Uint8Array(), stderr: new Uint8Array() };

  /** @param bytes lines `<time> <text>` @returns those that are whole */
  push(stream: LogStream, bytes: Uint8Array): LogLine[] {
    const data = Buffer.concat([this.rest[stream], bytes]);
    const lines: LogLine[] = [];
    let from = 0;
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, from)) {
      lines.push(lineOf(stream, data.subarray(from, end)));
      from = end + 1;
    }
    if (data.length - from > LONGEST_BYTES) {
      lines.push(lineOf(stream, data.subarray(from)));
      from = data.length;
    }
    this.rest[stream] = data.subarray(from);
    return lines;
  }
}

function lineOf(stream: LogStream, line: Buffer): LogLine {
  const space = line.subarray(0, LONGEST_TIME).indexOf(SPACE);
  return { time: line.toString('latin1', 0, Math.max(0, space)), stream, text: line.toString('utf8', space + 1) };
}
