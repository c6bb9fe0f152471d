/** Output of containers, from the agents of their hosts. */
import { ClientError, escapeControls, escapeJson, pacedQuery } from '@plinth/client';
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

/** The output can't be read, or no further; the message is for people. */
export class OutputError extends Error {
  override readonly name = 'OutputError';

  /** @param reason of the agent, or `no-answer`, `cut-off`, `aborted` */
  constructor(
    message: string,
    readonly reason: string,
    options: { readonly cause: unknown },
  ) {
    super(message, options);
  }
}

/** For terminals: control characters are shown. */
export const asText = (lines: readonly LogLine[]): string =>
  lines.map(({ text }) => `${escapeControls(text.replace(/\r$/, ''))}\n`).join('');

/** An object a line. */
export const asObjects = (lines: readonly LogLine[]): string =>
  lines.map((line) => `${escapeJson(JSON.stringify(line))}\n`).join('');

@Injectable()
export class ContainerOutput {
  constructor(@Inject(CONNECTION) private readonly connection: NatsConnection) {}

  /**
   * Groups of lines, oldest first; the agent sends more when they were taken.
   * @throws OutputError
   */
  async *lines(
    host: string,
    { containerId, tail, follow }: OutputQuery,
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogLine[]> {
    const lines = new LogLines();
    const query = { containerId, tail, follow, timestamps: true };
    const pieces = pacedQuery(this.connection, agentLogs(host), query, { silenceMs: SILENCE_MS, signal });
    try {
      for await (const { name, bytes } of pieces) yield* groupsOf(lines.push(name, bytes));
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      throw new OutputError(error.message, error.reason, { cause: error });
    }
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
