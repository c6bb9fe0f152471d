/** The shipped rules on a real nats-server: what each member may do, and what it must not be able to do in any way. */
import { once } from 'node:events';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  DESIRED_IMAGES,
  desiredConsumer,
  desiredContainer,
  desiredHostImages,
  desiredImage,
  hostConsumers,
  hostImageConsumers,
  hostImageReport,
  hostImagesConsumer,
  hostReport,
  storageConsumers,
  storageImagesConsumer,
  streamOf,
  STREAMS,
} from '@plinth/contracts';
import { connectNatsOnce, KeptConsumers, readStored, watchLastValues } from '@plinth/service-kit';
import { connect, headers, type NatsConnection, NatsError } from 'nats';
import { GuardedBus, type Login, member } from './testing/guarded-bus.js';
import { addMembers, finishRotation, removeMember, rotateKey } from './access-directory.js';

const bus = new GuardedBus();
beforeAll(() => bus.start());
afterAll(() => bus.stop());

const ID = 'a'.repeat(32);
const OTHER_ID = 'b'.repeat(32);
const next = (stream: string, consumer: string): string => `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
const EVERY_STREAM = Object.values(STREAMS).map(({ name }) => name);

/**
 * Only the provisioner makes or changes anything; no member deletes a stream, restores one, or asks about the server.
 */
const JETSTREAM_OF_OTHERS = [
  '$JS.API.INFO',
  '$JS.API.STREAM.LIST',
  '$JS.API.STREAM.NAMES',
  '$JS.API.ACCOUNT.PURGE.CORE',
  ...EVERY_STREAM.flatMap((stream) => [
    ...[
      'CREATE',
      'UPDATE',
      'DELETE',
      'PURGE',
      'INFO',
      'RESTORE',
      'SNAPSHOT',
      'MSG.GET',
      'MSG.DELETE',
      'LEADER.STEPDOWN',
    ].map((verb) => `$JS.API.STREAM.${verb}.${stream}`),
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.mine`,
    `$JS.API.CONSUMER.CREATE.${stream}.host-agent-h-1.desired.host.h-1.container.*`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.mine`,
    `$JS.API.CONSUMER.DELETE.${stream}.host-agent-h-2`,
    `$JS.API.CONSUMER.INFO.${stream}.host-agent-h-1`,
    `$JS.API.CONSUMER.LIST.${stream}`,
    `$JS.API.CONSUMER.NAMES.${stream}`,
    `$JS.FC.${stream}.>`,
  ]),
];
const FACTS = [
  'image.promoted',
  'image.tested',
  'image.activated',
  'container.configured',
  'container.started',
  'container.failed',
  'container.removed',
  'host.joined',
  'rollout.completed',
  'status.host.h-1',
  'status.image.x',
];
const REQUESTS_OF_OPERATORS = [
  'image.requested',
  'image.promotion.requested',
  'image.activation.requested',
  'image.revocation.requested',
  'image.retirement.requested',
];
const REQUESTS_OF_UPSTREAM = [
  'container.requested',
  'container.stop.requested',
  'container.remove.requested',
  'container.update.requested',
  'rollout.requested',
  'rollout.abort.requested',
];

interface Rules {
  readonly publishes: readonly string[];
  readonly mustNotPublish: readonly string[];
  readonly subscribes: readonly string[];
  readonly mustNotSubscribe: readonly string[];
}

const EVERYTHING = ['>', '*', '*.>', '$JS.>', '$SYS.>', '_R_.>'];

/** Of the keys by which consoles publish requests: they read nothing and speak for no service. */
const NOT_OF_ACTS = [
  ...FACTS,
  ...JETSTREAM_OF_OTHERS,
  'query.containers',
  'consumers.console.c-1',
  'agent.h-1.exec',
  'heartbeat.host.h-1',
  hostReport('h-1', ID),
  desiredContainer('h-1', ID),
  'status.container.x',
  'deadletter.console',
];

const MATRIX: Readonly<Record<string, Rules>> = {
  'console-c-1': {
    publishes: [
      'consumers.console.c-1',
      'consumers.console.c-1.status',
      next('PLINTH_STATUS', 'status-console-c-1'),
      'consumers.console.c-1.events',
      next('PLINTH_EVENTS', 'events-console-c-1'),
      'query.container',
      'query.containers',
      'query.rollout',
      'query.images',
      'agent.h-1.logs',
      'agent.h-2.logs',
    ],
    mustNotPublish: [
      'consumers.console.c-2',
      'consumers.console.c-2.status',
      hostConsumers('h-1'),
      next('PLINTH_STATUS', 'status-console-c-2'),
      'consumers.console.c-2.events',
      next('PLINTH_EVENTS', 'events-console-c-2'),
      next('PLINTH_DESIRED', 'host-agent-h-1'),
      ...EVERY_STREAM.map((stream) => `$JS.API.DIRECT.GET.${stream}`),
      'query.rebalance',
      'query.build',
      'deadletters.drop',
      'deadletter.console',
      'agent.h-1.exec',
      'agent.h-1.stats',
      'agent.h-3.logs',
      desiredContainer('h-1', ID),
      'status.container.x',
      ...FACTS,
      ...REQUESTS_OF_OPERATORS,
      ...REQUESTS_OF_UPSTREAM,
    ],
    subscribes: ['_INBOX.>'],
    mustNotSubscribe: [...EVERYTHING, 'container.>', 'status.>', 'query.container', 'heartbeat.host.*', 'agent.>'],
  },
  'acts-admin': {
    publishes: [
      ...REQUESTS_OF_OPERATORS,
      'container.requested',
      'container.update.requested',
      'rollout.requested',
      'tenant.change.requested',
      '$JS.API.DIRECT.GET.PLINTH_DEADLETTERS',
      'deadletters.drop',
    ],
    mustNotPublish: [...NOT_OF_ACTS, '$JS.API.DIRECT.GET.PLINTH_EVENTS'],
    subscribes: ['_INBOX.>'],
    mustNotSubscribe: [...EVERYTHING, 'container.>', 'status.>'],
  },
  'acts-operator': {
    publishes: ['container.requested', 'container.update.requested', 'rollout.requested', 'host.drain.requested'],
    mustNotPublish: [
      ...NOT_OF_ACTS,
      ...REQUESTS_OF_OPERATORS,
      'tenant.change.requested',
      '$JS.API.DIRECT.GET.PLINTH_DEADLETTERS',
      'deadletters.drop',
    ],
    subscribes: ['_INBOX.>'],
    mustNotSubscribe: [...EVERYTHING, 'container.>', 'status.>'],
  },
  'acts-developer': {
    publishes: ['container.requested', 'container.stop.requested', 'container.change.requested'],
    mustNotPublish: [
      ...NOT_OF_ACTS,
      ...REQUESTS_OF_OPERATORS,
      'container.update.requested',
      'rollout.requested',
      'rollout.abort.requested',
      'host.drain.requested',
      '$JS.API.DIRECT.GET.PLINTH_DEADLETTERS',
      'deadletters.drop',
    ],
    subscribes: ['_INBOX.>'],
    mustNotSubscribe: [...EVERYTHING, 'container.>', 'status.>'],
  },
  'host-h-1': {
    publishes: [
      hostReport('h-1', ID),
      'heartbeat.host.h-1',
      hostConsumers('h-1'),
      next('PLINTH_DESIRED', 'host-agent-h-1'),
      '$JS.ACK.PLINTH_DESIRED.host-agent-h-1.1.1.1.1.1',
      hostImageReport('h-1'),
      hostImageConsumers('h-1'),
      next('PLINTH_DESIRED', 'images-host-h-1'),
      `$JS.API.DIRECT.GET.PLINTH_DESIRED.${desiredContainer('h-1', ID)}`,
    ],
    mustNotPublish: [
      hostReport('h-2', ID),
      'heartbeat.host.h-2',
      'heartbeat.storage.sn-1',
      'report.node.sn-1.image',
      hostConsumers('h-2'),
      storageConsumers('sn-1'),
      'consumers.image-builder',
      next('PLINTH_DESIRED', 'host-agent-h-2'),
      hostImageReport('h-2'),
      hostImageConsumers('h-2'),
      next('PLINTH_DESIRED', 'images-host-h-2'),
      next('PLINTH_DESIRED', 'images-storage-sn-1'),
      desiredImage('debian-12', 'v1'),
      desiredHostImages('h-1'),
      '$JS.ACK.PLINTH_DESIRED.host-agent-h-2.1.1.1.1.1',
      `$JS.API.DIRECT.GET.PLINTH_DESIRED.${desiredContainer('h-2', ID)}`,
      '$JS.API.DIRECT.GET.PLINTH_DESIRED',
      '$JS.API.DIRECT.GET.PLINTH_EVENTS',
      desiredContainer('h-1', ID),
      desiredContainer('h-2', ID),
      'agent.h-2.exec',
      'query.containers',
      'deadletter.host-agent',
      ...FACTS,
      ...REQUESTS_OF_OPERATORS,
      ...REQUESTS_OF_UPSTREAM,
      ...JETSTREAM_OF_OTHERS,
    ],
    subscribes: ['_INBOX.>', 'agent.h-1.exec', 'agent.h-1.logs', 'agent.h-1.stats'],
    mustNotSubscribe: [
      ...EVERYTHING,
      'agent.h-2.exec',
      'agent.*.exec',
      'agent.>',
      'desired.>',
      'desired.host.h-1.container.*',
      'container.>',
      'report.>',
      'heartbeat.>',
      'query.>',
      'consumers.>',
      'status.>',
    ],
  },
  'storage-sn-1': {
    publishes: [
      'report.node.sn-1.image',
      'heartbeat.storage.sn-1',
      'deadletter.distributor',
      storageConsumers('sn-1'),
      next('PLINTH_DESIRED', 'images-storage-sn-1'),
      '$JS.ACK.PLINTH_DESIRED.images-storage-sn-1.1.1.1.1.1',
    ],
    mustNotPublish: [
      'report.node.sn-2.image',
      'heartbeat.storage.sn-2',
      'heartbeat.host.h-1',
      hostReport('h-1', ID),
      storageConsumers('sn-2'),
      hostConsumers('h-1'),
      next('PLINTH_DESIRED', 'images-storage-sn-2'),
      next('PLINTH_DESIRED', 'images-host-h-1'),
      desiredImage('debian-12', 'v1'),
      next('PLINTH_EVENTS', 'provisioner_container-requested'),
      next('PLINTH_DESIRED', 'host-agent-h-1'),
      '$JS.ACK.PLINTH_DESIRED.images-storage-sn-2.1.1.1.1.1',
      '$JS.API.DIRECT.GET.PLINTH_EVENTS',
      '$JS.API.DIRECT.GET.PLINTH_DESIRED',
      'deadletter.provisioner',
      'desired.host.h-1.container.x',
      'agent.h-1.exec',
      'query.containers',
      ...FACTS,
      ...REQUESTS_OF_OPERATORS,
      ...REQUESTS_OF_UPSTREAM,
      ...JETSTREAM_OF_OTHERS,
    ],
    subscribes: ['_INBOX.>'],
    mustNotSubscribe: [
      ...EVERYTHING,
      'image.>',
      'container.>',
      'desired.>',
      'report.>',
      'heartbeat.>',
      'agent.>',
      'status.>',
      'consumers.>',
    ],
  },
  'image-builder': {
    publishes: [
      'image.building',
      'image.built',
      'image.tested',
      'image.promoted',
      'image.rejected',
      'image.revoked',
      'status.image.debian-12',
      'deadletter.image-builder',
      'consumers.image-builder',
      next('PLINTH_EVENTS', 'image-builder_image-requested'),
    ],
    mustNotPublish: [
      'image.activated',
      'image.distributed',
      'container.configured',
      'container.started',
      'status.container.x',
      'desired.host.h-1.container.x',
      'heartbeat.host.h-1',
      hostReport('h-1', ID),
      'report.node.sn-1.image',
      'deadletter.provisioner',
      hostConsumers('h-1'),
      next('PLINTH_EVENTS', 'provisioner_container-requested'),
      next('PLINTH_DESIRED', 'images-storage-sn-1'),
      next('PLINTH_DESIRED', 'host-agent-h-1'),
      '$JS.API.DIRECT.GET.PLINTH_DESIRED',
      'agent.h-1.exec',
      ...REQUESTS_OF_OPERATORS,
      ...REQUESTS_OF_UPSTREAM,
      ...JETSTREAM_OF_OTHERS,
    ],
    subscribes: ['_INBOX.>', 'query.build'],
    mustNotSubscribe: [
      ...EVERYTHING,
      'query.>',
      'query.containers',
      'image.>',
      'container.>',
      'desired.>',
      'consumers.>',
      'agent.>',
    ],
  },
  upstream: {
    publishes: [...REQUESTS_OF_UPSTREAM, 'query.container'],
    mustNotPublish: [
      'container.anything',
      'host.joined',
      'desired.host.h-1.container.x',
      hostReport('h-1', ID),
      'heartbeat.host.h-1',
      hostConsumers('h-1'),
      'agent.h-1.exec',
      'deadletter.provisioner',
      ...FACTS,
      ...REQUESTS_OF_OPERATORS,
      ...EVERY_STREAM.map((stream) => `$JS.API.DIRECT.GET.${stream}`),
      ...EVERY_STREAM.map((stream) => next(stream, 'provisioner_container-requested')),
      ...JETSTREAM_OF_OTHERS,
    ],
    subscribes: ['_INBOX.>', 'container.>', 'container.started', 'rollout.>'],
    mustNotSubscribe: [
      ...EVERYTHING,
      'image.>',
      'host.>',
      'status.>',
      'desired.>',
      'report.>',
      'deadletter.>',
      'heartbeat.>',
      'agent.>',
      'query.>',
      'consumers.>',
    ],
  },
  operator: {
    publishes: [
      ...REQUESTS_OF_UPSTREAM,
      ...REQUESTS_OF_OPERATORS,
      'query.containers',
      'query.build',
      'agent.h-1.exec',
      'agent.h-2.logs',
      ...EVERY_STREAM.map((stream) => `$JS.API.DIRECT.GET.${stream}`),
    ],
    mustNotPublish: [
      'desired.host.h-1.container.x',
      hostReport('h-1', ID),
      'heartbeat.host.h-1',
      hostConsumers('h-1'),
      'consumers.image-builder',
      'agent.h-9.exec',
      'agent.h-1.anything',
      'deadletter.provisioner',
      ...FACTS,
      ...EVERY_STREAM.map((stream) => next(stream, 'provisioner_container-requested')),
      ...JETSTREAM_OF_OTHERS,
    ],
    subscribes: ['_INBOX.>', 'container.>', 'image.>', 'host.>', 'rollout.>', 'status.image.*', 'status.container.*'],
    mustNotSubscribe: [
      ...EVERYTHING,
      'desired.>',
      'report.>',
      'heartbeat.>',
      'agent.>',
      'agent.h-1.exec',
      'query.>',
      'consumers.>',
    ],
  },
  provisioner: {
    publishes: [
      'container.started',
      'image.activated',
      'host.joined',
      'desired.host.h-1.container.x',
      'status.container.x',
      'deadletter.provisioner',
      ...EVERY_STREAM.map((stream) => `$JS.API.STREAM.INFO.${stream}`),
      '$JS.API.STREAM.PURGE.PLINTH_DESIRED',
      '$JS.API.STREAM.UPDATE.PLINTH_EVENTS',
    ],
    mustNotPublish: [
      'image.promoted',
      'image.tested',
      'status.image.x',
      hostReport('h-1', ID),
      'heartbeat.host.h-1',
      'agent.h-1.exec',
      'container.requested',
      ...REQUESTS_OF_OPERATORS,
      ...EVERY_STREAM.flatMap((stream) =>
        ['DELETE', 'RESTORE', 'SNAPSHOT'].map((verb) => `$JS.API.STREAM.${verb}.${stream}`),
      ),
      ...['PLINTH_EVENTS', 'PLINTH_REPORTS'].map((stream) => `$JS.API.STREAM.MSG.DELETE.${stream}`),
      ...EVERY_STREAM.filter((stream) => stream !== 'PLINTH_DESIRED').map((stream) => `$JS.API.STREAM.PURGE.${stream}`),
      '$JS.API.STREAM.CREATE.OTHER',
      '$JS.API.CONSUMER.DELETE.PLINTH_EVENTS.image-builder_image-requested',
      '$JS.API.ACCOUNT.PURGE.CORE',
    ],
    subscribes: ['_INBOX.>', 'heartbeat.host.*', 'heartbeat.storage.*', 'query.containers', 'consumers.>'],
    mustNotSubscribe: [...EVERYTHING, 'container.>', 'agent.>', 'query.>', 'desired.>'],
  },
};

async function positions(): Promise<Readonly<Record<string, number>>> {
  const { connection } = await bus.as('provisioner');
  const jsm = await connection.jetstreamManager();
  return Object.fromEntries(
    await Promise.all(EVERY_STREAM.map(async (name) => [name, (await jsm.streams.info(name)).state.last_seq] as const)),
  );
}

async function desire(host: string, id: string, body: object = {}): Promise<void> {
  await (await bus.as('provisioner')).connection.jetstream().publish(desiredContainer(host, id), JSON.stringify(body));
}

/** Values of the host's watch until it has caught up. */
async function readDesired(connection: NatsConnection, host: string): Promise<string[]> {
  const subjects: string[] = [];
  await new Promise<void>((resolve) => {
    const watch = watchLastValues(connection, {
      consumers: new KeptConsumers(connection, hostConsumers(host), desiredConsumer(host)),
      stream: 'PLINTH_DESIRED',
      subject: `desired.host.${host}.container.*`,
      onValue: (subject) => void subjects.push(subject),
      onCaughtUp: () => void watch.close().then(resolve),
    });
  });
  return subjects.sort();
}

describe.each(Object.entries(MATRIX))('%s', (id, rules) => {
  it('may do what it is there for', async () => {
    const login = await bus.fresh(id);
    const refused: string[] = [];
    for (const subject of rules.publishes) if (!(await login.publishes(subject))) refused.push(`publish ${subject}`);
    for (const subject of rules.subscribes)
      if (!(await login.subscribes(subject))) refused.push(`subscribe ${subject}`);
    expect(refused).toEqual([]);
    await login.connection.close();
  });

  it('may do nothing else', async () => {
    const before = await positions();
    const login = await bus.fresh(id);
    const allowed: string[] = [];
    for (const subject of rules.mustNotPublish) if (await login.publishes(subject)) allowed.push(`publish ${subject}`);
    for (const subject of rules.mustNotSubscribe)
      if (await login.subscribes(subject)) allowed.push(`subscribe ${subject}`);
    expect(allowed).toEqual([]);
    expect(await positions()).toEqual(before);
    await login.connection.close();
  });
});

describe('a host', () => {
  it('reads its own desired state, again after a restart, and no other', async () => {
    await desire('h-1', ID);
    await desire('h-1', OTHER_ID);
    await desire('h-2', ID, { secret: 'of h-2' });
    const login = await bus.as('host-h-1');
    const own = [desiredContainer('h-1', ID), desiredContainer('h-1', OTHER_ID)];
    for (let starts = 0; starts < 2; starts++) expect(await readDesired(login.connection, 'h-1')).toEqual(own);
    expect((await readStored(login.connection, 'PLINTH_DESIRED', { subject: own[0] ?? '' }))?.subject).toBe(own[0]);
    expect(
      await readStored(login.connection, 'PLINTH_DESIRED', { subject: desiredContainer('h-1', 'c'.repeat(32)) }),
    ).toBeUndefined();
    // The body does not matter: the asker's name is in the subject.
    const opened = await login.connection.request(
      hostConsumers('h-1'),
      JSON.stringify({ host: 'h-2', name: 'host-agent-h-2', filter_subject: 'desired.>' }),
    );
    expect(opened.json()).toMatchObject({ ok: true, data: { pending: 2 } });
    await expect(
      readStored(login.connection, 'PLINTH_DESIRED', { subject: desiredContainer('h-2', ID) }),
    ).rejects.toThrow(/PERMISSIONS_VIOLATION|Permissions Violation|TIMEOUT/);
  });

  it('gets an acknowledgement for its report', async () => {
    const login = await bus.as('host-h-1');
    const ack = await login.connection.jetstream().publish(hostReport('h-1', ID), '{}');
    expect(ack.stream).toBe('PLINTH_REPORTS');
  });
});

describe('a storage node', () => {
  it('reads what is in production by its own consumer, and another node and a host read it too', async () => {
    const subject = desiredImage('debian-12', 'v1');
    await (await bus.as('provisioner')).connection.jetstream().publish(subject, '{}');
    const open = async (id: string, request: string, consumer: string): Promise<void> => {
      const { connection } = await bus.as(id);
      const watches = [{ filter: DESIRED_IMAGES, request, consumer }];
      const subjects: string[] = [];
      await new Promise<void>((resolve) => {
        const watch = watchLastValues(connection, {
          consumers: new KeptConsumers(connection, request, undefined, watches),
          stream: 'PLINTH_DESIRED',
          subject: DESIRED_IMAGES,
          onValue: (found) => void subjects.push(found),
          onCaughtUp: () => void watch.close().then(resolve),
        });
      });
      expect(subjects).toEqual([subject]);
    };
    for (const node of ['sn-1', 'sn-2'])
      await open(`storage-${node}`, storageConsumers(node), storageImagesConsumer(node));
    await open('host-h-1', hostImageConsumers('h-1'), hostImagesConsumer('h-1'));
  });
});

/**
 * Naming a reply that they may publish to anyway, these can have a message which they may read stored once more,
 * unchanged: nothing that its id does not make harmless.
 */
const MAY_COPY = ['image-builder', 'operator'];

/** The server's answer to a pull without a message, such as `408 Requests Pending`, may be stored as one without data. */
function unlessStatus(error: unknown): undefined {
  if (!(error instanceof NatsError) || error.code !== '408') throw error;
}

describe('a reply', () => {
  const deputies: readonly [string, string, string][] = [
    ['host-h-1', next('PLINTH_DESIRED', 'host-agent-h-1'), JSON.stringify({ batch: 1, no_wait: true })],
    ['host-h-1', hostReport('h-1', ID), '{"forged":true}'],
    ['host-h-1', hostConsumers('h-1'), '{}'],
    ['host-h-1', `$JS.API.DIRECT.GET.PLINTH_DESIRED.${desiredContainer('h-1', ID)}`, ''],
    ['storage-sn-1', next('PLINTH_DESIRED', 'images-storage-sn-1'), JSON.stringify({ batch: 1, no_wait: true })],
    ['storage-sn-1', 'report.node.sn-1.image', '{"forged":true}'],
    [
      'image-builder',
      next('PLINTH_EVENTS', 'image-builder_image-requested'),
      JSON.stringify({ batch: 1, no_wait: true }),
    ],
    ['image-builder', 'image.built', '{"forged":true}'],
    ['upstream', 'container.requested', '{"forged":true}'],
    ['operator', 'container.requested', '{"forged":true}'],
    ['operator', '$JS.API.DIRECT.GET.PLINTH_EVENTS', JSON.stringify({ seq: 1, next_by_subj: 'image.promoted' })],
    ['operator', '$JS.API.DIRECT.GET.PLINTH_DESIRED', JSON.stringify({ seq: 1, next_by_subj: '>' })],
  ];
  const victims = [
    'heartbeat.host.h-1',
    'heartbeat.storage.sn-1',
    'report.node.sn-1.image',
    'deadletter.distributor',
    'deadletter.image-builder',
    'container.started',
    'container.requested',
    'image.promoted',
    'image.requested',
    'host.lost',
    hostReport('h-2', OTHER_ID),
    hostReport('h-1', OTHER_ID),
    desiredContainer('h-2', OTHER_ID),
    'heartbeat.host.h-2',
    'agent.h-2.exec',
    'status.host.h-2',
    '_INBOX.victim',
    next('PLINTH_EVENTS', 'provisioner_container-requested'),
  ];

  it.each(deputies)('of %s to %s reaches no other member', async (id, subject, body) => {
    await desire('h-1', ID, { containerId: ID, command: ['/bin/sh'] });
    const promoted = (await bus.as('image-builder')).connection.jetstream();
    await promoted.publish('image.promoted', '{}');
    for (const consumers of [hostConsumers('h-1'), storageConsumers('sn-1'), 'consumers.image-builder']) {
      const asker =
        consumers === 'consumers.image-builder' ? 'image-builder' : `${consumers.split('.').slice(1).join('-')}`;
      await (await bus.as(asker)).connection.request(consumers, '{}');
    }
    const before = await positions();
    // A host's own heartbeat subject leads to the provisioner with everything below it; there a subject that does not
    // fit is ignored.
    const heartbeats = await (await bus.as('provisioner')).listen('heartbeat.host.*');
    const listeners = await Promise.all([
      (await bus.as('host-h-2')).listen('agent.h-2.exec'),
      (await bus.as('host-h-2')).listen('_INBOX.>'),
      ...(id === 'operator'
        ? []
        : [(await bus.as('operator')).listen('container.>'), (await bus.as('operator')).listen('image.>')]),
    ]);
    const login = await bus.fresh(id);
    for (const victim of victims) await login.publishes(subject, body, victim);
    await (await bus.as('provisioner')).connection.flush();
    const { connection } = await bus.as('operator');
    const after = await positions();
    const foreign: string[] = [];
    for (const stream of EVERY_STREAM) {
      for (let seq = (before[stream] ?? 0) + 1; seq <= (after[stream] ?? 0); seq++) {
        const message = await readStored(connection, stream, { seq, next_by_subj: '>' }).catch(unlessStatus);
        if (!message || (await login.publishes(message.subject))) continue;
        // Where its subject does not belong no consumer asks for it; where it does it may only be what lies there
        // already, for those who may read it.
        const copy =
          MAY_COPY.includes(id) &&
          (await readStored(connection, stream, { seq: 1, next_by_subj: message.subject }))?.data.join() ===
            message.data.join();
        if (streamOf(message.subject) === stream && !copy) foreign.push(`${stream} ${message.subject}`);
      }
    }
    for (const what of listeners.flatMap((listener) => listener.received))
      if (!(await login.publishes(what))) foreign.push(`live ${what}`);
    expect(foreign).toEqual([]);
    expect(
      heartbeats.received.filter((what) => what.startsWith('heartbeat.') && what !== 'heartbeat.host.h-1'),
    ).toEqual([]);
    for (const { subscription } of [...listeners, heartbeats]) subscription.unsubscribe();
    await login.connection.close();
  });
});

describe('an inbox', () => {
  it("holds nothing of another's answers", async () => {
    const snoops = await Promise.all(
      ['host-h-2', 'storage-sn-2', 'upstream', 'image-builder'].map(async (id) =>
        (await bus.fresh(id)).listen('_INBOX.>'),
      ),
    );
    const host = await bus.fresh('host-h-1');
    await host.connection.jetstream().publish(hostReport('h-1', ID), '{}');
    await readDesired(host.connection, 'h-1');
    await readStored((await bus.fresh('operator')).connection, 'PLINTH_DESIRED', { last_by_subj: '>' });
    for (const { subscription } of snoops) await subscription.drain();
    expect(snoops.flatMap(({ received }) => received)).toEqual([]);
  });
});

describe('an operator', () => {
  it('receives facts, asks services and hosts, and is answered in one or many messages', async () => {
    const { connection } = await bus.fresh('operator');
    const facts: string[] = [];
    for (const subject of ['container.>', 'image.>', 'status.image.*'])
      connection.subscribe(subject, { callback: (_, message) => void facts.push(message.subject) });
    await connection.flush();
    await (await bus.as('provisioner')).connection.jetstream().publish('container.started', '{}');
    await (await bus.as('image-builder')).connection.jetstream().publish('image.tested', '{}');
    await (await bus.as('image-builder')).connection.jetstream().publish('status.image.debian-12', '{}');

    const answering = (login: Login, subject: string): void =>
      void login.connection.subscribe(subject, { max: 1, callback: (_, message) => void message.respond('yes') });
    answering(await bus.as('provisioner'), 'query.containers');
    answering(await bus.as('image-builder'), 'query.build');
    answering(await bus.as('host-h-1'), 'agent.h-1.stats');
    for (const id of ['provisioner', 'image-builder', 'host-h-1']) await (await bus.as(id)).connection.flush();
    for (const subject of ['query.containers', 'query.build', 'agent.h-1.stats'])
      expect((await connection.request(subject, '{}')).string()).toBe('yes');

    const host = await bus.as('host-h-1');
    const probe = new Promise<void>((answered) => {
      host.connection.subscribe('_INBOX.probe', { max: 1, callback: () => answered() });
      host.connection.subscribe('agent.h-1.exec', {
        max: 1,
        callback: (_, message) => {
          for (let chunk = 0; chunk < 100; chunk++)
            host.connection.publish(message.reply ?? '', String(chunk), {
              reply: chunk === 50 ? '_INBOX.probe' : undefined,
            });
        },
      });
    });
    await host.connection.flush();
    const inbox = connection.subscribe('_INBOX.op', { max: 100 });
    connection.publish('agent.h-1.exec', '{}', { reply: '_INBOX.op' });
    const chunks: string[] = [];
    for await (const message of inbox) {
      if (message.reply) message.respond();
      chunks.push(message.string());
    }
    expect(chunks).toEqual(Array.from({ length: 100 }, (_, index) => String(index)));
    await probe;
    expect(facts).toEqual(expect.arrayContaining(['container.started', 'image.tested', 'status.image.debian-12']));
    await connection.close();
  });
});

describe('logging in', () => {
  it('may take longer than the two seconds that a server gives by itself', async () => {
    const socket = createConnection(Number(new URL(bus.running.url).port), '127.0.0.1');
    const closed = once(socket, 'close').then(() => 'closed');
    socket.on('data', () => undefined);
    expect(await Promise.race([closed, delay(4_000, 'waits')])).toBe('waits');
    socket.destroy();
  });

  it('is refused without a key, with an unknown one, and with a name in the message', async () => {
    await expect(connect({ servers: bus.running.url, reconnect: false })).rejects.toThrow('Authorization');
    await expect(connect({ servers: bus.running.url, reconnect: false, user: 'operator', pass: 'x' })).rejects.toThrow(
      'Authorization',
    );
    const unknown = join(bus.directory, 'unknown');
    addMembers(unknown, [member('operator')]);
    await expect(
      connectNatsOnce({
        url: bus.running.url,
        name: 'x',
        credentials: { nkeyFile: join(unknown, 'seeds/operator.nk') },
      }),
    ).rejects.toThrow('Authorization');
  });

  it('requires a key file that is closed to others, and never shows what is in it', async () => {
    const open = join(bus.directory, 'open.nk');
    copyFileSync(bus.keyFile('operator'), open);
    chmodSync(open, 0o644);
    expect(() => connectNatsOnce({ url: bus.running.url, name: 'x', credentials: { nkeyFile: open } })).toThrow(
      `chmod 600 ${open}`,
    );
    writeFileSync(join(bus.directory, 'wrong.nk'), 'SUSECRET', { mode: 0o600 });
    expect(() =>
      connectNatsOnce({ url: bus.running.url, name: 'x', credentials: { nkeyFile: join(bus.directory, 'wrong.nk') } }),
    ).toThrow(/^(?!.*SUSECRET).*does not hold/);
  });
});

describe('a change of members', () => {
  it('takes a new host in while the others go on', async () => {
    const before = await bus.fresh('host-h-1');
    addMembers(bus.directory, [member('host-h-3')]);
    await bus.reload();
    await desire('h-3', ID);
    const login = await bus.fresh('host-h-3');
    expect(await readDesired(login.connection, 'h-3')).toEqual([desiredContainer('h-3', ID)]);
    expect((await login.connection.jetstream().publish(hostReport('h-3', ID), '{}')).stream).toBe('PLINTH_REPORTS');
    expect(await login.publishes(hostReport('h-1', ID))).toBe(false);
    expect(await readDesired(before.connection, 'h-1')).toContain(desiredContainer('h-1', ID));
    expect((await before.connection.jetstream().publish(hostReport('h-1', ID), '{}')).stream).toBe('PLINTH_REPORTS');
    const host = login.connection.subscribe('agent.h-3.stats', {
      callback: (_, message) => void message.respond('here'),
    });
    await login.connection.flush();
    expect((await (await bus.fresh('operator')).connection.request('agent.h-3.stats')).string()).toBe('here');
    host.unsubscribe();
  });

  it('lets old and new key in while one is rotated, then only the new one', async () => {
    const old = join(bus.directory, 'old.nk');
    copyFileSync(bus.keyFile('upstream'), old);
    const enters = (file: string): Promise<boolean> =>
      connectNatsOnce({ url: bus.running.url, name: 'x', credentials: { nkeyFile: file } }).then(
        async (connection) => (await connection.close(), true),
        () => false,
      );
    rotateKey(bus.directory, member('upstream'));
    await bus.reload();
    expect([await enters(old), await enters(bus.keyFile('upstream'))]).toEqual([true, true]);
    finishRotation(bus.directory, member('upstream'));
    await bus.reload();
    expect([await enters(old), await enters(bus.keyFile('upstream'))]).toEqual([false, true]);
  });

  it('shuts a removed host out', async () => {
    const login = await bus.fresh('host-h-2');
    const closed = login.connection.closed();
    removeMember(bus.directory, member('host-h-2'));
    await bus.reload();
    await closed;
    expect(login.connection.isClosed()).toBe(true);
  });
});

it('keeps headers and message ids across accounts', async () => {
  const { connection } = await bus.fresh('upstream');
  const set = headers();
  set.set('ce-id', 'one');
  const first = await connection.jetstream().publish('container.requested', '{}', { msgID: 'one', headers: set });
  const again = await connection.jetstream().publish('container.requested', '{}', { msgID: 'one', headers: set });
  expect([first.duplicate, again.duplicate]).toEqual([false, true]);
  const stored = await readStored((await bus.as('operator')).connection, 'PLINTH_EVENTS', {
    seq: first.seq,
    next_by_subj: '>',
  });
  expect(stored?.headers.get('ce-id')).toBe('one');
});
