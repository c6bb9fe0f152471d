/** `/health/live`, `/health/ready`, `/metrics`. */
import { Controller, Get, Header, Inject, Res } from '@nestjs/common';
import { metricsRegistry } from './metrics.js';

/** One thing a service needs to do its work. */
export interface ReadinessCheck {
  readonly name: string;
  /** undefined when it is there; else what is missing. */
  check(): Promise<string | undefined>;
}
export const READINESS_CHECKS = Symbol('readiness checks');

interface StatusResponse {
  status(code: number): unknown;
}

@Controller()
export class HealthController {
  constructor(@Inject(READINESS_CHECKS) private readonly checks: readonly ReadinessCheck[]) {}

  /** The process answers; a lost NATS or PostgreSQL does not make it die. */
  @Get('health/live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** 503 while something is missing, naming it. */
  @Get('health/ready')
  async ready(
    @Res({ passthrough: true }) response: StatusResponse,
  ): Promise<{ status: 'ok' | 'unavailable'; missing: Record<string, string> }> {
    const results = await Promise.all(this.checks.map(async (item) => [item.name, await item.check()] as const));
    const missing = Object.fromEntries(
      results.flatMap(([name, problem]) => (problem === undefined ? [] : [[name, problem]])),
    );
    const ok = Object.keys(missing).length === 0;
    if (!ok) response.status(503);
    return { status: ok ? 'ok' : 'unavailable', missing };
  }

  @Get('metrics')
  @Header('content-type', metricsRegistry.contentType)
  metrics(): Promise<string> {
    return metricsRegistry.metrics();
  }
}
