/** `agent.<host>.logs`: the output of a container so far, and its further output on request. */
import type { LogsQuery, QueryReply } from '@plinth/contracts';
import type { ContainerLogs } from '../adapters/container-logs.js';
import type { StreamedReply } from '../adapters/streamed-reply.js';
import type { LogLine } from '../domain/conmon-log.js';
import { LastLines } from '../domain/last-lines.js';

const NEWLINE = Buffer.from('\n');
/** What is kept of last lines for one requester, until the end of the log is found. */
const MOST_HELD_BYTES = 8 * 1024 ** 2;
/** Lines are joined up to here. */
const MESSAGE_BYTES = 128 * 1024;

export class LogsHandler {
  constructor(
    private readonly logs: ContainerLogs,
    /** Whether the container exists on this host. */
    private readonly exists: (containerId: string) => boolean,
  ) {}

  async handle(query: LogsQuery, reply: StreamedReply): Promise<QueryReply<{ exitCode: number }>> {
    if (!this.exists(query.containerId))
      return {
        ok: false,
        reason: 'container-not-found',
        message: `container ${query.containerId} is not on this host`,
      };
    let held = query.tail === undefined ? undefined : new LastLines(query.tail, MOST_HELD_BYTES);
    let atEnd = false;
    const following = (): boolean => {
      atEnd = true;
      return query.follow === true && !reply.gone.aborted && this.exists(query.containerId);
    };
    for await (const lines of this.logs.lines(query.containerId, following)) {
      if (reply.gone.aborted) return { ok: false, reason: 'aborted', message: 'the requester is gone' };
      if (!held) await send(lines, query, reply);
      else {
        held.push(lines);
        if (!atEnd) continue;
        await send(held.lines, query, reply);
        held = undefined;
      }
    }
    return { ok: true, data: { exitCode: 0 } };
  }
}

/** Joins neighbouring lines of one stream into one message; as fast as the requester takes them. */
async function send(lines: readonly LogLine[], query: LogsQuery, reply: StreamedReply): Promise<void> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  for (const [index, line] of lines.entries()) {
    if (query.timestamps === true) pieces.push(Buffer.from(`${line.time} `));
    pieces.push(line.text, NEWLINE);
    bytes += line.text.length;
    if (lines[index + 1]?.stream === line.stream && bytes < MESSAGE_BYTES) continue;
    reply.write(line.stream, Buffer.concat(pieces));
    pieces = [];
    bytes = 0;
    await reply.room();
    if (reply.gone.aborted) return;
  }
}
