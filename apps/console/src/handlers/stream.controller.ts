/** The stream of a page (server-sent events, WHATWG HTML 9.2). */
import { Controller, Get, Inject, Query, Req, Res, UseGuards } from '@nestjs/common';
import { OpenStream, topicsOf } from '@plinth/contracts/console';
import { ConsoleConfig } from '../config.js';
import { Streams } from '../live/streams.js';
import { ApiProblem, checked, type Response, type SignedInRequest } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';
import { drained, STREAM_HEADERS } from './sse.js';

@Controller('api/v1/stream')
@UseGuards(SignedInGuard)
export class StreamController {
  constructor(
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
    @Inject(Streams) private readonly streams: Streams,
  ) {}

  @Get()
  @Needs('stream')
  open(@Query() query: unknown, @Req() request: SignedInRequest, @Res() response: Response): void {
    const asked = checked(OpenStream, { ...(query as object) });
    if (this.streams.open >= this.config.PLINTH_CONSOLE_STREAMS)
      throw new ApiProblem('unavailable', 'too many pages are open at this console; close one, or use another copy');
    const { person } = request;
    const last = request.headers['last-event-id'];
    response.writeHead(200, STREAM_HEADERS);
    const end = this.streams.add(
      {
        write: (text) => response.write(text),
        drained: () => drained(response),
        end: () => response.end(),
      },
      {
        viewer: person,
        topics: topicsOf(asked),
        lastId: typeof last === 'string' ? last : asked.from,
        mayGoOn: request.mayGoOn,
      },
    );
    // After an error comes the end.
    response.on('error', end);
    response.once('close', end);
  }
}
