/** The stream of a page (server-sent events, WHATWG HTML 9.2). */
import { Controller, Get, Inject, Query, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { OpenStream, topicsOf } from '@plinth/contracts/console';
import { once } from 'node:events';
import { SignIn } from '../access/sign-in.js';
import { ConsoleConfig } from '../config.js';
import { Streams } from '../live/streams.js';
import { ApiProblem, checked, type Response, type SignedInRequest } from './http.js';
import { ProblemFilter } from './problem.filter.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

@Controller('api/v1/stream')
@UseFilters(ProblemFilter)
@UseGuards(SignedInGuard)
export class StreamController {
  constructor(
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
    @Inject(Streams) private readonly streams: Streams,
    @Inject(SignIn) private readonly signIn: SignIn,
  ) {}

  @Get()
  @Needs('stream')
  open(@Query() query: unknown, @Req() request: SignedInRequest, @Res() response: Response): void {
    const asked = checked(OpenStream, { ...(query as object) });
    if (this.streams.open >= this.config.PLINTH_CONSOLE_STREAMS)
      throw new ApiProblem('unavailable', 'too many pages are open at this console; close one, or use another copy');
    const { person, token } = request;
    const last = request.headers['last-event-id'];
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      // A proxy that collects the answer would hold it for ever.
      'x-accel-buffering': 'no',
    });
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
        mayGoOn: async () => {
          const present = await this.signIn.personOf(token, false);
          // With other rights it begins again.
          return present?.role === person.role && present.tenants.join() === person.tenants.join();
        },
      },
    );
    // After an error comes the end.
    response.on('error', end);
    response.once('close', end);
  }
}

/** A connection that is gone never drains. */
async function drained(response: Response): Promise<void> {
  if (response.destroyed || !response.writableNeedDrain) return;
  const over = new AbortController();
  const { signal } = over;
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  } catch (error) {
    // The connection broke: what ends the stream follows.
    if (!response.destroyed) response.destroy(error instanceof Error ? error : undefined);
  } finally {
    over.abort();
  }
}
