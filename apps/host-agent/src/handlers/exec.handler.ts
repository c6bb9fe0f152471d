/** `agent.<host>.exec`: runs a command in a running container and streams its output. */
import type { OciRuntime } from '@plinth/container-runtime';
import type { ExecQuery, QueryReply } from '@plinth/contracts';
import type { StreamedReply } from '../adapters/streamed-reply.js';

const DEFAULT_TIMEOUT_SECONDS = 3_600;

export class ExecHandler {
  constructor(private readonly runtime: OciRuntime) {}

  async handle(query: ExecQuery, reply: StreamedReply): Promise<QueryReply<{ exitCode: number }>> {
    const result = await this.runtime.exec(query.containerId, query.command, {
      env: query.env,
      stdin: query.stdin === undefined ? undefined : Buffer.from(query.stdin, 'base64'),
      timeoutMs: (query.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
      signal: reply.gone,
      onStdout: (chunk) => reply.write('stdout', chunk),
      onStderr: (chunk) => reply.write('stderr', chunk),
    });
    return result.ok ? { ok: true, data: { exitCode: result.exitCode } } : result;
  }
}
