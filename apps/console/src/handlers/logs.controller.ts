/** Output of containers: the last lines, and as they come (server-sent events). */
import { Controller, Get, Inject, Param, Query, Req, Res, UseGuards } from '@nestjs/common';
import { type ContainerStatus, ID_PATTERN } from '@plinth/contracts';
import { DEFAULT_LOG_LINES, ReadLogs } from '@plinth/contracts/console';
import { asObjects, asText, ContainerOutput, OutputError } from '../adapters/container-output.js';
import { PresentState } from '../adapters/present-state.js';
import { ProvisionerQueries } from '../adapters/provisioner-queries.js';
import { maySee } from '../domain/access.js';
import type { LogLine } from '../domain/log-lines.js';
import { message } from '../domain/stream-message.js';
import { LogReaders } from '../live/log-readers.js';
import { ApiProblem, checked, type Response, type SignedInRequest, withNumbers } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';
import { drained, STREAM_HEADERS } from './sse.js';

interface End {
  readonly reason: string;
  readonly message: string;
}

interface Format {
  readonly headers: Readonly<Record<string, string>>;
  lines(lines: readonly LogLine[]): string;
  /** What tells the reader why it ends; absent: the connection breaks. */
  end?(end: End): string;
}

const COMPLETE: End = { reason: 'container-gone', message: 'the container is no longer on this host' };
const SIGNED_OUT: End = { reason: 'not-signed-in', message: 'the session ended, or has other rights now' };

const TEXT: Format = {
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  lines: asText,
};
const OBJECTS: Format = {
  headers: { 'content-type': 'application/x-ndjson' },
  lines: asObjects,
  end: (end) => `${JSON.stringify({ problem: end })}\n`,
};
const EVENTS: Format = {
  headers: STREAM_HEADERS,
  lines: (lines) => message('lines', { items: lines }),
  end: (end) => message('end', end),
};

@Controller('api/v1/containers')
@UseGuards(SignedInGuard)
export class LogsController {
  constructor(
    @Inject(PresentState) private readonly present: PresentState,
    @Inject(ProvisionerQueries) private readonly queries: ProvisionerQueries,
    @Inject(ContainerOutput) private readonly output: ContainerOutput,
    @Inject(LogReaders) private readonly readers: LogReaders,
  ) {}

  @Get(':id/logs')
  @Needs('logs')
  async logs(
    @Param('id') id: string,
    @Query() query: Record<string, unknown>,
    @Req() request: SignedInRequest,
    @Res() response: Response,
  ): Promise<void> {
    const { tail = DEFAULT_LOG_LINES, follow = false } = checked(ReadLogs, withFlag(withNumbers(query, 'tail')));
    const { host } = await this.visible(id, request);
    if (host === null) throw new ApiProblem('no-host', 'the container has no host yet; try again');
    const refusal = this.readers.refusal(request.person.name);
    if (refusal) throw new ApiProblem(refusal, 'too many logs are read at this moment; end one, or try again');
    const format = follow ? EVENTS : formatOf(request);
    let isOver = false;
    const finish = (end?: End): void => {
      if (isOver) return;
      isOver = true;
      if (!response.headersSent && end) response.writeHead(200, format.headers);
      if (end && format.end) response.end(format.end(end));
      else if (end) response.destroy();
      else response.end();
    };
    const reader = this.readers.add(
      request.person.name,
      {
        isBeating: follow,
        write: (text) => response.write(text),
        drained: () => drained(response),
        end: () => {
          finish(SIGNED_OUT);
          reader.close();
        },
        destroy: () => response.destroy(),
      },
      request.mayGoOn,
    );
    // After an error comes the end.
    response.on('error', () => reader.close());
    response.once('close', () => reader.close());
    try {
      if (follow) response.writeHead(200, format.headers).flushHeaders();
      for await (const lines of this.output.lines(host, { containerId: id, tail, follow }, reader.signal)) {
        if (!response.headersSent) response.writeHead(200, format.headers);
        await reader.send(format.lines(lines));
      }
      if (!response.headersSent) response.writeHead(200, format.headers);
      finish(follow ? COMPLETE : undefined);
    } catch (error) {
      if (reader.signal.aborted) return;
      if (!(error instanceof OutputError)) throw error;
      if (!response.headersSent) throw problemOf(error);
      finish({ reason: error.reason, message: error.message });
    } finally {
      reader.close();
    }
  }

  /** @throws ApiProblem */
  private async visible(id: string, { person }: SignedInRequest): Promise<Pick<ContainerStatus, 'host'>> {
    const missing = new ApiProblem('container-not-found', 'there is no such container; see: plinth ps --all');
    if (!ID_PATTERN.test(id)) throw missing;
    const known = this.present.state.get('containers', id);
    if (known && !maySee(person, 'containers', known)) throw missing;
    if (known) return known;
    const reply = await this.queries.container(id);
    if (!reply.ok || !maySee(person, 'containers', reply.data)) throw missing;
    return reply.data;
  }
}

/** Parameters of an address are texts: this is true or false. */
function withFlag(query: object): object {
  const { follow } = query as { follow?: unknown };
  return follow === 'true' || follow === 'false' ? { ...query, follow: follow === 'true' } : query;
}

function formatOf({ headers }: SignedInRequest): Format {
  return /\bapplication\/(?:x-ndjson|jsonl|json)\b/.test(headers.accept ?? '') ? OBJECTS : TEXT;
}

function problemOf({ reason, message: detail }: OutputError): ApiProblem {
  if (reason === 'container-not-found')
    return new ApiProblem(reason, 'its host does not have the container at this moment; try again');
  return new ApiProblem(reason === 'no-answer' ? reason : 'unavailable', detail);
}
