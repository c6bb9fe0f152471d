/** JSON logs (pino); every line written while an event is handled carries its correlation id. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import type { PublishedEvent } from './messaging/publisher.js';

export type { Logger } from 'pino';

/** What one piece of work is about; absent: not known. */
interface LogContext {
  /** One for all that follows from one request. */
  readonly correlationId?: string;
  /** Id of the event that is handled. */
  readonly eventId?: string;
  readonly subject?: string;
  readonly containerId?: string;
}
const context = new AsyncLocalStorage<LogContext>();

export function withLogContext<T>(values: LogContext, work: () => T): T {
  return context.run(values, work);
}

/** Characters. */
const MOST_HELD = 65_536;

/** Lines of one turn of the event loop are one write: a call of the kernel for each would cost more than the lines. */
class WrittenByTurn implements DestinationStream {
  private readonly file = pino.destination({ fd: 1, sync: true });
  private lines = '';
  private isDue = false;

  constructor() {
    process.on('exit', () => this.flush());
  }

  write(line: string): void {
    this.lines += line;
    if (this.lines.length > MOST_HELD) this.flush();
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(() => {
      this.isDue = false;
      this.flush();
    });
  }

  private flush(): void {
    const { lines } = this;
    this.lines = '';
    if (lines !== '') this.file.write(lines);
  }
}

let output: WrittenByTurn | undefined;

export function createLogger(service: string, id: string, level: string): Logger {
  output ??= new WrittenByTurn();
  const options: LoggerOptions = {
    level,
    base: { service, id, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    // pino gets a copy: it writes the line's own fields into what it is given.
    mixin: () => ({ ...context.getStore() }),
    redact: ['*.password', '*.DATABASE_URL', 'DATABASE_URL', '*.env', 'env'],
  };
  return pino(options, output);
}

/** What this process has reported or decided: these lines of all services, by their time, show the way of a request. */
const FOLLOWED = /^(?:report|container|rollout|image|host|storage|tenant|rebalance)\./;

/** Not for statuses and desired states, which follow from the facts. */
export function logPublished(logger: Logger, event: PublishedEvent): void {
  const { subject, id: eventId, correlationId, causationId } = event;
  if (!FOLLOWED.test(subject)) return;
  const { containerId, kind } = event.data as { readonly containerId?: string; readonly kind?: string };
  logger.info({ correlationId, causationId, eventId, subject, containerId, kind }, 'published');
}

/** Nest's own messages, through pino. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}
  log(message: unknown, scope?: string): void {
    this.logger.debug({ scope }, String(message));
  }
  error(message: unknown, stack?: string, scope?: string): void {
    this.logger.error({ scope, stack }, String(message));
  }
  warn(message: unknown, scope?: string): void {
    this.logger.warn({ scope }, String(message));
  }
  debug(message: unknown, scope?: string): void {
    this.logger.debug({ scope }, String(message));
  }
  verbose(message: unknown, scope?: string): void {
    this.logger.trace({ scope }, String(message));
  }
}
