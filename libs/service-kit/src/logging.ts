/** JSON logs (pino); every line written while an event is handled carries its correlation id. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

interface LogContext {
  readonly correlationId: string;
  readonly eventId: string;
  readonly subject: string;
}
const context = new AsyncLocalStorage<LogContext>();

export function withLogContext<T>(values: LogContext, work: () => T): T {
  return context.run(values, work);
}

export function createLogger(service: string, id: string, level: string): Logger {
  return pino({
    level,
    base: { service, id, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    // pino gets a copy: it writes the line's own fields into what it is given.
    mixin: () => ({ ...context.getStore() }),
    redact: ['*.password', '*.DATABASE_URL', 'DATABASE_URL', '*.env', 'env'],
  });
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
