/**
 * Streams to pages: everything once, then changes, merged for {@link MERGE_MS}. A reader that is slow gets no queue: it
 * gets the last values when it has taken what it was sent.
 */
import { Inject, Injectable } from '@nestjs/common';
import { openStreams } from '../adapters/metrics.js';
import { PresentState } from '../adapters/present-state.js';
import { maySee, type Viewer, viewKey, visibleTopics } from '../domain/access.js';
import { canResume, formatPosition, parsePosition, type Position } from '../domain/position.js';
import { changesFor, message } from '../domain/stream-message.js';
import type { Topic } from '../domain/topics.js';
import { beginHeartbeat, type Sink } from './heartbeat.js';

export const MERGE_MS = 100;
const ROWS_A_MESSAGE = 500;

export interface StreamOptions {
  readonly viewer: Viewer;
  readonly topics: readonly Topic[];
  /** Id of the last message that the reader has. */
  readonly lastId?: string;
  /** Whether the reader may still read; asked with each heartbeat. */
  readonly mayGoOn: () => Promise<boolean>;
}

interface Reader {
  readonly sink: Sink;
  readonly viewer: Viewer;
  readonly topics: readonly Topic[];
  /** undefined: it is to get everything. */
  sequence: number | undefined;
  resets: number;
  /** It gets everything, or has not taken what it was sent. */
  busy: boolean;
  ended: boolean;
}

@Injectable()
export class Streams {
  private readonly readers = new Set<Reader>();
  private timer: NodeJS.Timeout | undefined;

  constructor(@Inject(PresentState) private readonly present: PresentState) {
    present.on('change', () => this.soon());
    present.on('currency', () => {
      for (const reader of this.readers) this.sendCurrency(reader);
      this.soon();
    });
  }

  get open(): number {
    return this.readers.size;
  }

  /** @returns what ends it */
  add(sink: Sink, { viewer, topics, lastId, mayGoOn }: StreamOptions): () => void {
    const { state, position } = this.present;
    const from = lastId === undefined ? undefined : parsePosition(lastId);
    const reader: Reader = {
      sink,
      viewer,
      topics: visibleTopics(viewer, topics),
      sequence: position && canResume(from, position, state.floor) ? from.sequence : undefined,
      resets: state.resets,
      busy: false,
      ended: false,
    };
    this.readers.add(reader);
    openStreams.set(this.readers.size);
    const endHeartbeat = beginHeartbeat(sink, mayGoOn);
    const end = (): void => {
      reader.ended = true;
      endHeartbeat();
      this.readers.delete(reader);
      openStreams.set(this.readers.size);
    };
    this.sendCurrency(reader);
    this.flush();
    return end;
  }

  private soon(): void {
    if (this.readers.size === 0) return;
    this.timer ??= setTimeout(() => this.flush(), MERGE_MS);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { position, state } = this.present;
    if (!position) return;
    // Those at the same place who see the same get the same text.
    const texts = new Map<string, string | undefined>();
    for (const reader of this.readers) {
      if (reader.busy) continue;
      if (reader.sequence === undefined || reader.resets !== state.resets) {
        reader.busy = true;
        void this.sendAll(reader, position);
        continue;
      }
      if (reader.sequence >= position.sequence) continue;
      const key = `${reader.sequence} ${reader.topics.join(' ')} ${viewKey(reader.viewer)}`;
      if (!texts.has(key)) {
        const changes = changesFor(reader.viewer, reader.topics, state.changesSince(reader.sequence));
        texts.set(
          key,
          changes && message('changes', { at: this.present.currency.at, ...changes }, formatPosition(position)),
        );
      }
      reader.sequence = position.sequence;
      const text = texts.get(key);
      if (text !== undefined && !reader.sink.write(text)) void this.waitFor(reader);
    }
  }

  /** Changes that come meanwhile follow from the position at which it began. */
  private async sendAll(reader: Reader, position: Position): Promise<void> {
    const { state, currency } = this.present;
    const { viewer, topics, sink } = reader;
    const everything = topics.map((topic) => ({
      topic,
      values: state.all(topic).filter((value) => maySee(viewer, topic, value)),
    }));
    reader.resets = state.resets;
    sink.write(message('snapshot', { at: currency.at, topics }));
    for (const { topic, values } of everything) {
      for (let from = 0; from < values.length && !reader.ended; from += ROWS_A_MESSAGE) {
        const rows = values.slice(from, from + ROWS_A_MESSAGE);
        if (!sink.write(message('rows', { put: { [topic]: rows } }))) await sink.drained();
      }
    }
    if (reader.ended) return;
    reader.sequence = position.sequence;
    sink.write(message('ready', { at: this.present.currency.at }, formatPosition(position)));
    reader.busy = false;
    this.soon();
  }

  private async waitFor(reader: Reader): Promise<void> {
    reader.busy = true;
    await reader.sink.drained();
    reader.busy = false;
    this.soon();
  }

  private sendCurrency(reader: Reader): void {
    if (!reader.ended) reader.sink.write(message('currency', this.present.currency));
  }
}
