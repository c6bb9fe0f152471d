/** `agent.<host>.logs`: the output of a container so far, and its further output on request. */
import type { LogsQuery, QueryReply } from '@plinth/contracts';
import type { ContainerLogs } from '../adapters/container-logs.js';
import type { StreamedReply } from '../adapters/streamed-reply.js';
import type { LogLine } from '../domain/conmon-log.js';

const NEWLINE = Buffer.from('\n');

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
    let held: LogLine[] | undefined = query.tail === undefined ? undefined : [];
    const release = (): void => {
      if (held) send(held, query, reply);
      held = undefined;
    };
    const following = (): boolean => {
      release();
      return query.follow === true && !reply.gone.aborted && this.exists(query.containerId);
    };
    for await (const lines of this.logs.lines(query.containerId, following)) {
      if (reply.gone.aborted) return { ok: false, reason: 'aborted', message: 'the requester is gone' };
      if (held) held = query.tail === 0 ? [] : [...held, ...lines].slice(-(query.tail ?? 0));
      else if (lines.length > 0) {
        send(lines, query, reply);
        await reply.flush();
      }
    }
    release();
    return { ok: true, data: { exitCode: 0 } };
  }
}

/** Joins neighbouring lines of one stream into one message. */
function send(lines: readonly LogLine[], query: LogsQuery, reply: StreamedReply): void {
  let pieces: Buffer[] = [];
  lines.forEach((line, index) => {
    if (query.timestamps === true) pieces.push(Buffer.from(`${line.time} `));
    pieces.push(line.text, NEWLINE);
    if (lines[index + 1]?.stream === line.stream) return;
    reply.write(line.stream, Buffer.concat(pieces));
    pieces = [];
  });
}
