/**
 * What each member may do, made from the catalogue of contracts: the one source of the server's configuration, of the
 * table in the documentation and of the tests.
 */
import {
  type ActingRole,
  BUILDER_CONSUMERS,
  consoleConsumers,
  consoleEventConsumer,
  consoleEventConsumers,
  consoleStatusConsumer,
  consoleStatusConsumers,
  consumedBy,
  type Contract,
  CONTRACTS,
  CONSUMER_REQUESTS,
  deadLetter,
  desiredConsumer,
  desiredContainer,
  durableName,
  hostConsumers,
  hostImageConsumers,
  hostImagesConsumer,
  type Party,
  QUERIES,
  storageConsumers,
  storageImagesConsumer,
  STREAMS,
  streamOf,
  subjectsOfRole,
} from '@plinth/contracts';
import { accountOf, CORE, type Member, type MemberKind } from './members.js';

/** Something another account serves. */
export interface Call {
  readonly account: string;
  readonly subject: string;
}

/** Subjects; `*` and `>` are NATS wildcards. */
export interface Rights {
  /** Publishes or requests, at the account that takes it. */
  readonly calls: readonly Call[];
  /** Subscribes to what another account publishes, live. */
  readonly subscribes: readonly Call[];
  /** Answers requests of operators and upstream systems. */
  readonly serves: readonly string[];
  /** Publishes in its own account, for subscribers in others. */
  readonly publishes: readonly string[];
}

const PARTY: Readonly<Record<MemberKind, Party>> = {
  provisioner: 'provisioner',
  'image-builder': 'image-builder',
  host: 'host-agent',
  storage: 'distributor',
  console: 'console',
  acts: 'console',
  upstream: 'upstream',
  operator: 'operator',
};
/** Last values that every member that may subscribe to facts may subscribe to as well. */
const statusesOf = (party: Party): readonly string[] =>
  CONTRACTS.filter((contract) => contract.kind === 'status' && contract.publishers.includes(party)).map(
    ({ subject }) => subject,
  );
const READABLE_STREAMS = Object.values(STREAMS).map((stream) => stream.name);
const STORED = ['request', 'fact', 'report', 'desired', 'heartbeat'];

/** The subject with the writer's own name where the contract has the wildcard that names an instance. */
function ownSubject({ kind, name }: Member, subject: string): string {
  return kind === 'host' || kind === 'storage' ? subject.replace('*', name ?? '') : subject;
}

const published = (party: Party): readonly Contract[] =>
  CONTRACTS.filter((contract) => STORED.includes(contract.kind) && contract.publishers.includes(party));
const asked = (party: Party): readonly Contract[] =>
  CONTRACTS.filter((contract) => contract.kind === 'query' && contract.publishers.includes(party));
const toCore = (subjects: readonly string[]): Call[] => subjects.map((subject) => ({ account: CORE, subject }));

/** Pull and acknowledge: all that JetStream's API needs of a consumer that is open. */
export function pullRights(stream: string, consumer: string): string[] {
  return [`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, `$JS.ACK.${stream}.${consumer}.>`];
}

const NOTHING: Rights = { calls: [], subscribes: [], serves: [], publishes: [] };

/** @param all every member: an operator asks each host by its name */
export function rightsOf(member: Member, all: readonly Member[]): Rights {
  const { kind, name = '' } = member;
  const party = PARTY[kind];
  const own = published(party).map((contract) => ownSubject(member, contract.subject));
  switch (kind) {
    case 'provisioner':
      return {
        ...NOTHING,
        publishes: [...own, ...statusesOf('provisioner'), deadLetter('provisioner')],
        serves: [...served('provisioner'), CONSUMER_REQUESTS],
      };
    case 'image-builder': {
      const publishes = [...own, ...statusesOf('image-builder')];
      return {
        calls: toCore([
          ...publishes,
          deadLetter('image-builder'),
          BUILDER_CONSUMERS,
          ...durables('image-builder', 'image-builder'),
        ]),
        subscribes: [],
        serves: served('image-builder'),
        publishes,
      };
    }
    case 'storage':
      return {
        ...NOTHING,
        calls: toCore([
          ...own,
          deadLetter('distributor'),
          storageConsumers(name),
          ...pullRights(STREAMS.desired.name, storageImagesConsumer(name)),
        ]),
      };
    case 'host': {
      const desired = STREAMS.desired.name;
      return {
        ...NOTHING,
        calls: toCore([
          ...own,
          hostConsumers(name),
          hostImageConsumers(name),
          ...pullRights(desired, desiredConsumer(name)),
          ...pullRights(desired, hostImagesConsumer(name)),
          `$JS.API.DIRECT.GET.${desired}.${desiredContainer(name, '*')}`,
        ]),
        serves: served('host-agent').map((subject) => ownSubject(member, subject)),
      };
    }
    case 'console':
      return {
        ...NOTHING,
        calls: [
          ...toCore([
            consoleConsumers(name),
            consoleStatusConsumers(name),
            ...pullRights(STREAMS.status.name, consoleStatusConsumer(name)),
            consoleEventConsumers(name),
            ...pullRights(STREAMS.events.name, consoleEventConsumer(name)),
          ]),
          ...queries(party, all),
        ],
      };
    case 'acts':
      return {
        ...NOTHING,
        calls: toCore([
          ...subjectsOfRole(name as ActingRole),
          ...(name === 'admin' ? [`$JS.API.DIRECT.GET.${STREAMS.deadLetters.name}`, QUERIES.dropDeadLetters] : []),
        ]),
      };
    case 'upstream': {
      const entities = new Set(own.map(entityOf));
      return {
        ...NOTHING,
        calls: [...toCore(own), ...queries(party, all)],
        subscribes: facts((subject) => entities.has(entityOf(subject))),
      };
    }
    case 'operator': {
      const reads = READABLE_STREAMS.map((stream) => `$JS.API.DIRECT.GET.${stream}`);
      const status = (['provisioner', 'image-builder'] as const).flatMap((publisher) =>
        statusesOf(publisher).map((subject) => ({ account: accountOf({ kind: publisher }), subject })),
      );
      return {
        ...NOTHING,
        calls: [...toCore([...own, ...reads]), ...queries(party, all)],
        subscribes: [...facts(() => true), ...status],
      };
    }
  }
}

/** What the core account takes from others, for every member that can exist: adding a member does not change it. */
export function coreServices(): readonly string[] {
  const askers: readonly Member[] = [{ kind: 'image-builder' }, { kind: 'upstream' }, { kind: 'operator' }];
  const named = askers.flatMap((member) =>
    rightsOf(member, [])
      .calls.filter((call) => call.account === CORE && !call.subject.startsWith('$JS.'))
      .map((call) => call.subject),
  );
  const perName = (['host-agent', 'distributor'] as const).flatMap((party) =>
    published(party).map((contract) => contract.subject),
  );
  const streams = [
    STREAMS.desired.name,
    STREAMS.status.name,
    ...new Set(consumedBy('image-builder').map(({ subject }) => streamOf(subject))),
  ];
  return [
    ...new Set([
      ...named,
      ...perName,
      hostConsumers('*'),
      hostImageConsumers('*'),
      storageConsumers('*'),
      consoleConsumers('*'),
      consoleStatusConsumers('*'),
      consoleEventConsumers('*'),
      deadLetter('distributor'),
      ...streams.flatMap((stream) => pullRights(stream, '*')),
      ...READABLE_STREAMS.map((stream) => `$JS.API.DIRECT.GET.${stream}`),
      `$JS.API.DIRECT.GET.${STREAMS.desired.name}.${desiredContainer('*', '*')}`,
    ]),
  ];
}

/** Subjects whose answer is a stream of messages. */
export function answersInMany(subject: string): boolean {
  return subject.startsWith('$JS.API.CONSUMER.MSG.NEXT.') || isStreamOfAgent(subject);
}

/** A host agent's queries that are answered with a stream, in which it asks whether its reader is still there. */
export function isStreamOfAgent(subject: string): boolean {
  return /^agent\.[^.]+\.(?:exec|logs)$/.test(subject);
}

/**
 * What the provisioner may ask of JetStream: it keeps streams and consumers, and deletes and purges nothing but desired
 * state, statuses, watchers and dead letters that an operator has done with.
 */
export const PROVISIONER_API: readonly string[] = [
  '$JS.API.INFO',
  ...Object.values(STREAMS).flatMap(({ name }) => [
    `$JS.API.STREAM.CREATE.${name}`,
    `$JS.API.STREAM.INFO.${name}`,
    // A later version has more kinds of events; a cluster has more replicas.
    `$JS.API.STREAM.UPDATE.${name}`,
    `$JS.API.CONSUMER.CREATE.${name}`,
    `$JS.API.CONSUMER.CREATE.${name}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${name}.*`,
    `$JS.API.CONSUMER.INFO.${name}.*`,
    ...pullRights(name, '*'),
  ]),
  `$JS.API.CONSUMER.DELETE.${STREAMS.desired.name}.*`,
  `$JS.API.CONSUMER.DELETE.${STREAMS.status.name}.*`,
  `$JS.API.STREAM.PURGE.${STREAMS.desired.name}`,
  ...[STREAMS.desired, STREAMS.status, STREAMS.deadLetters].flatMap(({ name }) => [
    `$JS.API.STREAM.MSG.GET.${name}`,
    `$JS.API.STREAM.MSG.DELETE.${name}`,
  ]),
];

function durables(party: Party, group: string): string[] {
  return consumedBy(party).flatMap(({ subject }) => pullRights(streamOf(subject), durableName(group, subject)));
}

function served(party: Party): string[] {
  return CONTRACTS.filter((contract) => contract.kind === 'query' && contract.consumers.includes(party)).map(
    (contract) => contract.subject,
  );
}

function queries(party: Party, all: readonly Member[]): Call[] {
  return asked(party).flatMap((contract) =>
    all
      .filter((member) => contract.consumers.includes(PARTY[member.kind]))
      .map((member) => ({ account: accountOf(member), subject: ownSubject(member, contract.subject) })),
  );
}

/**
 * Everything an entity's publishers publish, at their accounts: what comes into the core by a service import is not
 * forwarded from there.
 */
function facts(wanted: (subject: string) => boolean): Call[] {
  return (['provisioner', 'image-builder'] as const).flatMap((publisher) => {
    const entities = new Set(
      published(PARTY[publisher])
        .filter((contract) => contract.kind === 'fact' && wanted(contract.subject))
        .map(({ subject }) => entityOf(subject)),
    );
    return [...entities].map((entity) => ({ account: accountOf({ kind: publisher }), subject: `${entity}.>` }));
  });
}

function entityOf(subject: string): string {
  return subject.slice(0, subject.indexOf('.'));
}
