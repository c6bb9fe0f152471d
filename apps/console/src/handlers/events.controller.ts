/** Requests and facts: the last of them, and as they come (server-sent events). */
import { Controller, Get, Inject, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ListEvents } from '@plinth/contracts/console';
import { ConsoleConfig } from '../config.js';
import { EventFeed } from '../adapters/event-feed.js';
import { PresentState } from '../adapters/present-state.js';
import { EventStreams } from '../live/event-streams.js';
import { ApiProblem, checked, type Response, type SignedInRequest, withNumbers } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';
import { drained, STREAM_HEADERS } from './sse.js';

@Controller('api/v1/events')
@UseGuards(SignedInGuard)
export class EventsController {
  constructor(
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
    @Inject(EventFeed) private readonly feed: EventFeed,
    @Inject(EventStreams) private readonly streams: EventStreams,
    @Inject(PresentState) private readonly present: PresentState,
  ) {}

  @Get()
  @Needs('events')
  list(@Query() query: Record<string, unknown>, @Req() request: SignedInRequest, @Res() response: Response): void {
    const asked = checked(ListEvents, withNumbers(query, 'limit'));
    if (!String(request.headers.accept ?? '').includes('text/event-stream')) {
      const found = this.feed.log.find(request.person, asked, (id) => this.present.tenantOf(id));
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(JSON.stringify(found));
      return;
    }
    if (this.streams.open >= this.config.PLINTH_CONSOLE_STREAMS)
      throw new ApiProblem('unavailable', 'too many pages are open at this console; close one, or use another copy');
    response.writeHead(200, STREAM_HEADERS);
    const end = this.streams.add(
      { write: (text) => response.write(text), drained: () => drained(response), end: () => response.end() },
      { viewer: request.person, asked, mayGoOn: request.mayGoOn },
    );
    response.on('error', end);
    response.once('close', end);
  }
}
