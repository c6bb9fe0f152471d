import { consoleConsumers, consoleStatusConsumer, consoleStatusConsumers, STATUSES } from '@plinth/contracts';
import { runService } from '@plinth/service-kit';
import { PresentState } from './adapters/present-state.js';
import { ConsoleConfig } from './config.js';
import { ConsoleModule } from './console.module.js';

export function run(): Promise<void> {
  return runService({
    name: 'console',
    config: ConsoleConfig,
    consumers: ({ PLINTH_CONSOLE: name }) => ({
      request: consoleConsumers(name),
      watches: [{ filter: STATUSES, request: consoleStatusConsumers(name), consumer: consoleStatusConsumer(name) }],
    }),
    module: () => ConsoleModule,
    components: [PresentState],
  });
}
