/**
 * A service that may not create consumers: it starts before the provisioner, reports what it waits for, and goes on
 * when the bus lost its store.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { BUILDER_CONSUMERS, desiredConsumer, desiredOfHost, hostConsumers } from '@plinth/contracts';
import {
  createLogger,
  ensureStreams,
  EventPublisher,
  JetStreamStrategy,
  KeptConsumers,
  type ReceivedEvent,
  watchLastValues,
} from '@plinth/service-kit';
import { GuardedBus } from './testing/guarded-bus.js';

let bus: GuardedBus;
beforeEach(async () => {
  bus = new GuardedBus();
  await bus.start({ keeper: false });
});
afterEach(() => bus.stop());

it('binds when the provisioner comes, and again when its consumer is gone', async () => {
  const { connection } = await bus.as('image-builder');
  const handled: string[] = [];
  const arrived = new Map<string, () => void>();
  const strategy = new JetStreamStrategy({
    connection,
    publisher: new EventPublisher(connection, 'test'),
    logger: createLogger('test', 'test', 'fatal'),
    consumers: new KeptConsumers(connection, BUILDER_CONSUMERS),
    waitForConsumers: false,
    service: 'image-builder',
    consumerGroup: 'image-builder',
  });
  const handler = async (event: ReceivedEvent): Promise<void> => {
    handled.push(event.id);
    arrived.get(event.id)?.();
  };
  strategy.addHandler('image.retired', handler as never, true);
  await new Promise<void>(
    (resolve, reject) => void strategy.listen((error) => (error === undefined ? resolve() : reject(error as Error))),
  );
  try {
    while (!(await strategy.readiness.check())?.includes('no provisioner answers consumers.image-builder'))
      await delay(20);
    const publisher = new EventPublisher((await bus.as('provisioner')).connection, 'test');
    const retire = async (id: string): Promise<void> => {
      const here = new Promise<void>((resolve) => arrived.set(id, resolve));
      await publisher.publish({ subject: 'image.retired', id, data: { name: 'debian-12', version: 'v1' } });
      await here;
    };
    const first = retire('first');
    await bus.keep();
    await first;
    expect(await strategy.readiness.check()).toBeUndefined();

    // This is as after a power cut of the server: streams and consumers are gone.
    const provisioner = (await bus.as('provisioner')).connection;
    await bus.loseStore();
    await ensureStreams(provisioner);
    await retire('second');
    expect(handled).toEqual(['first', 'second']);
  } finally {
    await strategy.close();
  }
});

it('a host reports why it has no desired state yet', async () => {
  const { connection } = await bus.as('host-h-1');
  const watch = watchLastValues(connection, {
    consumers: new KeptConsumers(connection, hostConsumers('h-1'), desiredConsumer('h-1')),
    stream: 'PLINTH_DESIRED',
    subject: desiredOfHost('h-1'),
    onValue: () => undefined,
  });
  try {
    while (!watch.problem()?.includes('no provisioner answers consumers.host.h-1')) await delay(20);
    await bus.keep();
    while (watch.problem() !== undefined) await delay(20);
  } finally {
    await watch.close();
  }
});
