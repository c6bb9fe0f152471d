/** Output of containers, from the agents of their hosts. */
import { pacedQuery } from '@plinth/client';
import { agentLogs } from '@plinth/contracts';
import { CONNECTION } from '@plinth/service-kit';
import { Inject, Injectable } from '@nestjs/common';
import type { NatsConnection } from 'nats';
import { type LogLine, LogLines } from '../domain/log-lines.js';

/** An agent sends a message every 2 s. */
const SILENCE_MS = 10_000;
/** Of one group of lines, unless one line alone is longer. */
const GROUP_CHARACTERS = 32 * 1024;

export interface OutputQuery {
  readonly containerId: string;
  readonly tail: number;
  readonly follow: boolean;
}

@Injectable()
export class ContainerOutput {
  constructor(@Inject(CONNECTION) private readonly connection: NatsConnection) {}

  /**
   * Groups of lines, oldest first; the agent sends more when they were taken.
   * @throws ClientError the agent's reason, `no-answer`, `cut-off`, `aborted`
   */
  async *lines(
    host: string,
    { containerId, tail, follow }: OutputQuery,
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogLine[]> {
    const lines = new LogLines();
    const query = { containerId, tail, follow, timestamps: true };
    for await (const { name, bytes } of pacedQuery(this.connection, agentLogs(host), query, {
      silenceMs: SILENCE_MS,
      signal,
    }))
      yield* groupsOf(lines.push(name, bytes));
  }
}

function* groupsOf(lines: readonly LogLine[]): Generator<readonly LogLine[]> {
  let group: LogLine[] = [];
  let characters = 0;
  for (const line of lines) {
    if (characters > 0 && characters + line.text.length > GROUP_CHARACTERS) {
      yield group;
      group = [];
      characters = 0;
    }
    group.push(line);
    characters += line.text.length;
  }
  if (group.length > 0) yield group;
}
