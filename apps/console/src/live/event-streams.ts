/** Streams of requests and facts: those that a person may see and asked for, merged for a moment. */
import { Inject, Injectable } from '@nestjs/common';
import type { ListEvents } from '@plinth/contracts/console';
import { EventFeed } from '../adapters/event-feed.js';
import { PresentState } from '../adapters/present-state.js';
import type { Viewer } from '../domain/access.js';
import { message } from '../domain/stream-message.js';
import { beginHeartbeat, type Sink } from './heartbeat.js';
import { MERGE_MS } from './streams.js';

export interface EventStreamOptions {
  readonly viewer: Viewer;
  readonly asked: ListEvents;
  /** Whether the reader may still read; asked with each heartbeat. */
  readonly mayGoOn: () => Promise<boolean>;
}

interface Reader {
  readonly sink: Sink;
  readonly viewer: Viewer;
  readonly asked: ListEvents;
  sequence: number;
  busy: boolean;
  ended: boolean;
}

@Injectable()
export class EventStreams {
  private readonly readers = new Set<Reader>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(EventFeed) private readonly feed: EventFeed,
    @Inject(PresentState) private readonly present: PresentState,
  ) {
    feed.on('events', () => this.soon());
  }

  get open(): number {
    return this.readers.size;
  }

  /** First the last events, then those that come. @returns what ends it */
  add(sink: Sink, { viewer, asked, mayGoOn }: EventStreamOptions): () => void {
    const reader: Reader = { sink, viewer, asked, sequence: this.feed.log.last, busy: false, ended: false };
    this.readers.add(reader);
    const { items } = this.feed.log.find(viewer, asked, (id) => this.present.tenantOf(id));
    sink.write(message('events', { items: [...items].reverse() }));
    const endHeartbeat = beginHeartbeat(sink, mayGoOn);
    return () => {
      reader.ended = true;
      endHeartbeat();
      this.readers.delete(reader);
    };
  }

  private soon(): void {
    if (this.readers.size > 0) this.timer ??= setTimeout(() => this.flush(), MERGE_MS);
  }

  private flush(): void {
    this.timer = undefined;
    for (const reader of this.readers) if (!reader.busy) this.send(reader);
  }

  private send(reader: Reader): void {
    const { log } = this.feed;
    const items = log.since(reader.sequence, reader.viewer, reader.asked, (id) => this.present.tenantOf(id));
    reader.sequence = log.last;
    if (items.length === 0 || reader.sink.write(message('events', { items }))) return;
    reader.busy = true;
    void reader.sink.drained().then(() => {
      reader.busy = false;
      this.soon();
    });
  }
}
