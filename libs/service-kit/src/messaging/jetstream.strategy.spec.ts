/** What the transport does with one message after the other, against a bus that is made by hand. */
import { SUBJECTS } from '@plinth/contracts';
import type { JsMsg, NatsConnection } from 'nats';
import { of, throwError } from 'rxjs';
import type { Logger } from '../logging.js';
import type { ConsumerSource } from './consumer-source.js';
import { MAX_DELIVERIES, PermanentError } from './delivery-policy.js';
import type { ReceivedEvent } from './envelope.js';
import { type ConsumerExtras, JetStreamStrategy } from './jetstream.strategy.js';
import type { EventPublisher, OutgoingEvent } from './publisher.js';

const SUBJECT = SUBJECTS.containerRequested;
const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Sent {
  readonly data?: object;
  readonly attempt?: number;
  readonly sequence?: number;
}

/** One consumer's worth of a bus: delivers what a test gives it, and records what becomes of it. */
class HandBus {
  readonly settled: string[] = [];
  readonly published: OutgoingEvent[] = [];
  takesPublications = true;
  private readonly waiting: JsMsg[] = [];
  private wake: () => void = () => undefined;
  private stopped = false;
  private sequence = 0;

  readonly strategy = new JetStreamStrategy({
    connection: { isClosed: () => false } as NatsConnection,
    publisher: { publish: (event: OutgoingEvent) => this.publish(event) } as unknown as EventPublisher,
    logger: QUIET as unknown as Logger,
    consumers: {
      durable: () => Promise.resolve({ consumer: { consume: () => this.messages() }, blind: false }),
    } as unknown as ConsumerSource,
    waitForConsumers: true,
    service: 'provisioner',
  });

  async listen(handle: (event: ReceivedEvent) => unknown, extras: ConsumerExtras = {}): Promise<void> {
    this.strategy.addHandler(SUBJECT, async (event: ReceivedEvent) => handle(event) as never, true, extras as never);
    await this.strategy.listen((error) => {
      if (error) throw error;
    });
  }

  send({ data = { name: 'shop-1' }, attempt = 1, sequence = ++this.sequence }: Sent = {}): void {
    const settle = (what: string): void => void this.settled.push(`${what} ${sequence}`);
    this.waiting.push({
      subject: SUBJECT,
      data: Buffer.from(JSON.stringify(data)),
      seq: sequence,
      headers: undefined,
      info: { stream: 'PLINTH_EVENTS', deliveryCount: attempt, timestampNanos: 1e15 },
      ack: () => settle('ack'),
      nak: (delayMs?: number) =>
        settle(delayMs === undefined ? 'nak' : `nak after ${delayMs > 0 ? 'a pause' : delayMs}`),
      term: () => settle('term'),
      working: () => undefined,
    } as unknown as JsMsg);
    this.wake();
  }

  /** @returns when so many messages were settled */
  async until(count: number): Promise<readonly string[]> {
    while (this.settled.length < count) await new Promise((resolve) => setImmediate(resolve));
    return this.settled;
  }

  private publish(event: OutgoingEvent): Promise<object> {
    if (!this.takesPublications) return Promise.reject(new Error('the bus is away'));
    this.settled.push(`published ${event.subject}`);
    this.published.push(event);
    return Promise.resolve({});
  }

  private messages(): object {
    const take = async function* (bus: HandBus): AsyncGenerator<JsMsg> {
      while (!bus.stopped || bus.waiting.length > 0) {
        const next = bus.waiting.shift();
        if (next) yield next;
        else await new Promise<void>((resolve) => (bus.wake = resolve));
      }
    };
    return Object.assign(take(this), {
      stop: () => {
        this.stopped = true;
        this.wake();
      },
      status: () => Promise.resolve((async function* () {})()),
    });
  }
}

describe('JetStream transport', () => {
  it('acknowledges what its handler did, and gives it the decoded event', async () => {
    const bus = new HandBus();
    const seen: ReceivedEvent[] = [];
    await bus.listen((event) => void seen.push(event));
    bus.send({ attempt: 3 });
    expect(await bus.until(1)).toEqual(['ack 1']);
    expect(seen[0]).toMatchObject({
      subject: SUBJECT,
      tokens: ['container', 'requested'],
      attempt: 3,
      data: { name: 'shop-1' },
    });
    await bus.strategy.close();
  });

  it.each([
    { of: 'an error', handle: () => Promise.reject(new Error('away')) },
    { of: 'an error within what Nest wraps', handle: () => of(throwError(() => new Error('away'))) },
  ])('has a message come again after $of', async ({ handle }) => {
    const bus = new HandBus();
    await bus.listen(handle);
    bus.send();
    expect(await bus.until(1)).toEqual(['nak after a pause 1']);
    await bus.strategy.close();
  });

  it('publishes the rejection, then the dead letter, and ends an invalid message only then', async () => {
    const bus = new HandBus();
    let calls = 0;
    await bus.listen(() => void calls++);
    bus.send({ data: { name: 17 } });
    expect(await bus.until(3)).toEqual([
      `published ${SUBJECTS.containerRejected}`,
      'published deadletter.provisioner',
      'term 1',
    ]);
    expect(calls).toBe(0);
    expect(bus.published[1]?.data).toMatchObject({ reason: 'invalid', sequence: 1, attempts: 1, bytes: 11 });
    await bus.strategy.close();
  });

  it('makes a dead letter of what never works, without a rejection: its handler has refused it itself', async () => {
    const bus = new HandBus();
    await bus.listen(() => Promise.reject(new PermanentError('never')));
    bus.send();
    expect(await bus.until(2)).toEqual(['published deadletter.provisioner', 'term 1']);
    await bus.strategy.close();
  });

  it('does not call the handler for a message that ended the process at each of its deliveries', async () => {
    const bus = new HandBus();
    let calls = 0;
    await bus.listen(() => void calls++);
    bus.send({ attempt: MAX_DELIVERIES + 1 });
    expect(await bus.until(3)).toEqual([
      `published ${SUBJECTS.containerRejected}`,
      'published deadletter.provisioner',
      'term 1',
    ]);
    expect(calls).toBe(0);
    await bus.strategy.close();
  });

  it('keeps a message whose dead letter the bus does not take; published again, both have the same ids', async () => {
    const bus = new HandBus();
    await bus.listen(() => undefined);
    bus.takesPublications = false;
    bus.send({ data: { name: 17 }, sequence: 5 });
    expect(await bus.until(1)).toEqual(['nak after a pause 5']);
    bus.takesPublications = true;
    bus.send({ data: { name: 17 }, sequence: 5, attempt: 2 });
    await bus.until(4);
    bus.send({ data: { name: 17 }, sequence: 5, attempt: 3 });
    await bus.until(7);
    const ids = bus.published.map(({ id }) => id);
    expect(ids.slice(0, 2)).toEqual(ids.slice(2, 4));
    expect(new Set(ids).size).toBe(2);
    await bus.strategy.close();
  });

  it('handles ordered messages of one subject one after the other, others as many at once as it may', async () => {
    for (const { extras, most } of [
      { extras: { ordered: true }, most: 1 },
      { extras: { concurrency: 3 }, most: 3 },
    ]) {
      const bus = new HandBus();
      let atOnce = 0;
      let mostAtOnce = 0;
      await bus.listen(async () => {
        mostAtOnce = Math.max(mostAtOnce, ++atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce--;
      }, extras);
      for (let count = 0; count < 7; count++) bus.send();
      await bus.until(7);
      expect(mostAtOnce).toBe(most);
      await bus.strategy.close();
    }
  });

  it('ends while its consumers are being opened, too', async () => {
    const bus = new HandBus();
    bus.strategy.addHandler(SUBJECT, async () => undefined as never, true);
    let closed: Promise<void> | undefined;
    await bus.strategy.listen(() => (closed = bus.strategy.close()));
    await closed;
    bus.send();
    expect(bus.settled).toEqual([]);
  });

  it('ends with what is in progress done, and releases what it has not begun', async () => {
    const bus = new HandBus();
    let finish: () => void = () => undefined;
    await bus.listen(() => new Promise<void>((resolve) => (finish = resolve)));
    bus.send();
    await new Promise((resolve) => setImmediate(resolve));
    const closed = bus.strategy.close();
    bus.send();
    await bus.until(1);
    expect(bus.settled).toEqual(['nak 2']);
    finish();
    await closed;
    expect(bus.settled).toEqual(['nak 2', 'ack 1']);
  });
});
