import {
  consoleConsumers,
  consoleEventConsumer,
  consoleEventConsumers,
  consoleStatusConsumer,
  consoleStatusConsumers,
  STATUSES,
  STREAMS,
} from '@plinth/contracts';
import { runService } from '@plinth/service-kit';
import { ActBus } from './adapters/act-bus.js';
import { EventFeed } from './adapters/event-feed.js';
import { PresentState } from './adapters/present-state.js';
import { ConsoleConfig } from './config.js';
import { ConsoleModule } from './console.module.js';
import { ProblemFilter } from './handlers/problem.filter.js';
import { RequestWatch } from './live/request-watch.js';

export function run(): Promise<void> {
  return runService({
    name: 'console',
    config: ConsoleConfig,
    consumers: ({ PLINTH_CONSOLE: name }) => ({
      request: consoleConsumers(name),
      watches: [{ filter: STATUSES, request: consoleStatusConsumers(name), consumer: consoleStatusConsumer(name) }],
      tails: [
        { stream: STREAMS.events.name, request: consoleEventConsumers(name), consumer: consoleEventConsumer(name) },
      ],
    }),
    module: () => ConsoleModule,
    httpErrors: (logger) => new ProblemFilter(logger),
    components: [ActBus, PresentState, RequestWatch, EventFeed],
  });
}
