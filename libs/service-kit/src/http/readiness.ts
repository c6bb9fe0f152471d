/** Ready-made readiness checks. */
import type { NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import { ask } from '../persistence/database.js';
import type { ReadinessCheck } from './health.controller.js';

const PATIENCE_MS = 2_000;

function withinPatience<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

export function natsReadiness(connection: NatsConnection): ReadinessCheck {
  return { name: 'nats', check: () => withinPatience(connection.flush()).then(() => undefined, problem) };
}

export function databaseReadiness(source: DataSource): ReadinessCheck {
  return { name: 'database', check: () => withinPatience(ask(source)).then(() => undefined, problem) };
}

function problem(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
