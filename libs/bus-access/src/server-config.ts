/**
 * The access rules as nats-server reads them: pure. Runs with 2.9 and later; JSON is part of its configuration
 * language.
 */
import { CONSUMER_REQUESTS, HOST_HEARTBEATS, STORAGE_HEARTBEATS } from '@plinth/contracts';
import { accountOf, CORE, type KeyedMember, memberId } from './members.js';
import {
  answersInMany,
  type Call,
  coreServices,
  isStreamOfAgent,
  PROVISIONER_API,
  type Rights,
  rightsOf,
} from './rights.js';

interface Export {
  readonly service?: string;
  readonly stream?: string;
  readonly response_type?: 'stream';
}

interface Import {
  readonly service?: Call;
  readonly stream?: Call;
}

interface Account {
  readonly jetstream?: 'enabled';
  readonly users: readonly {
    readonly nkey: string;
    readonly permissions: {
      readonly publish: { readonly allow: readonly string[] };
      readonly subscribe: { readonly allow: readonly string[] };
    };
  }[];
  readonly exports?: readonly Export[];
  readonly imports?: readonly Import[];
}

/** Replies to requests that came from another account; the server makes these subjects up and they can't be guessed. */
const FOREIGN_REPLIES = '_R_.>';

export function accountsConfig(members: readonly KeyedMember[]): Readonly<Record<string, Account>> {
  return Object.fromEntries([
    ['SYS', { users: [] }],
    ...members.map((member) => [accountOf(member), account(member, members)]),
  ]);
}

function account(member: KeyedMember, members: readonly KeyedMember[]): Account {
  const rights = rightsOf(member, members);
  const core = accountOf(member) === CORE;
  const { publish, subscribe } = permissionsOf(member, rights);
  const services = [
    ...(core ? coreServices() : []),
    ...rights.serves.filter((subject) => !core || !coreServices().includes(subject)),
  ];
  return {
    ...(core ? { jetstream: 'enabled' as const } : {}),
    users: member.publicKeys.map((nkey) => ({
      nkey,
      permissions: { publish: { allow: publish }, subscribe: { allow: subscribe } },
    })),
    exports: [
      ...services
        .filter((subject) => subject !== CONSUMER_REQUESTS)
        .map((service): Export => (answersInMany(service) ? { service, response_type: 'stream' } : { service })),
      ...subscribedOf(member, members).map((stream): Export => ({ stream })),
    ],
    imports: [
      ...rights.calls.map((service): Import => ({ service })),
      ...rights.subscribes.map((stream): Import => ({ stream })),
    ],
  };
}

/** What the user itself may name, in its own account. */
export function permissionsOf(
  member: KeyedMember,
  rights: Rights,
): { readonly publish: readonly string[]; readonly subscribe: readonly string[] } {
  const core = accountOf(member) === CORE;
  // Queue groups have rules of their own in later servers; a plain subject covers them.
  return {
    publish: unique([
      ...rights.calls.map((call) => call.subject),
      ...rights.publishes,
      // Those that read a stream of messages answer whether they still do.
      ...(rights.serves.length > 0 ||
      member.kind === 'operator' ||
      rights.calls.some(({ subject }) => isStreamOfAgent(subject))
        ? [FOREIGN_REPLIES]
        : []),
      ...(core ? PROVISIONER_API : []),
    ]),
    subscribe: unique([
      '_INBOX.>',
      ...rights.serves,
      ...rights.subscribes.map((call) => call.subject),
      ...(core ? [HOST_HEARTBEATS, STORAGE_HEARTBEATS] : []),
    ]),
  };
}

function subscribedOf(member: KeyedMember, members: readonly KeyedMember[]): string[] {
  const account = accountOf(member);
  return unique(
    members.flatMap((other) =>
      rightsOf(other, members)
        .subscribes.filter((call) => call.account === account)
        .map((call) => call.subject),
    ),
  );
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/**
 * How long a client may take to prove who it is, seconds. The server's own 2 s are too short on a machine that is busy, or
 * when thousands of hosts come back at once: a client whose connection is closed meanwhile waits for its own timeout.
 */
const LOGIN_SECONDS = 30;

/** The file that a server's own configuration includes. */
export function accessConfig(members: readonly KeyedMember[]): string {
  return [
    '# Who may do what on the bus. Made by `plinth access`; change it with that, not by hand.',
    `# ${members.map(memberId).join(' ')}`,
    `authorization { timeout: ${LOGIN_SECONDS} }`,
    'system_account: SYS',
    `accounts: ${JSON.stringify(accountsConfig(members), null, 1)}`,
    '',
  ].join('\n');
}

export interface ServerOptions {
  /** `host:port` */
  readonly listen: string;
  readonly storeDirectory: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string };
  /** Unique in a cluster; `plinth` when absent. */
  readonly name?: string;
  readonly cluster?: ClusterOptions;
  /** `host:port` of the server's monitoring, which has no login: of loopback, or of a network of operators. */
  readonly monitoring?: string;
  /** Each message is flushed to the disk before it is acknowledged; nats-server 2.10 or later. */
  readonly syncAlways?: boolean;
}

/** A server among others that hold the same streams. */
export interface ClusterOptions {
  /** The same on all of them. */
  readonly name: string;
  /** `host:port` for the other servers. */
  readonly listen: string;
  /** `host:port` of every server; its own one may be among them. */
  readonly routes: readonly string[];
  /** How servers know each other: a secret that all have, or certificates of one authority. */
  readonly login:
    | { readonly secret: string }
    | { readonly certFile: string; readonly keyFile: string; readonly caFile: string };
}

/** User of the routes; the secret is the password. */
const ROUTE_USER = 'plinth-route';

function clusterConfig({ name, listen, routes, login }: ClusterOptions): string {
  const isSecret = 'secret' in login;
  const user = isSecret ? `${ROUTE_USER}:${encodeURIComponent(login.secret)}@` : '';
  return [
    `cluster { name: ${JSON.stringify(name)}, listen: ${JSON.stringify(listen)}`,
    isSecret
      ? ` authorization { user: ${JSON.stringify(ROUTE_USER)}, password: ${JSON.stringify(login.secret)}, timeout: ${LOGIN_SECONDS} }`
      : ` tls { cert_file: ${JSON.stringify(login.certFile)}, key_file: ${JSON.stringify(login.keyFile)}, ca_file: ${JSON.stringify(login.caFile)}, verify: true, timeout: ${LOGIN_SECONDS} }`,
    ` routes: ${JSON.stringify(routes.map((route) => `nats-route://${user}${route}`))}`,
    '}',
  ].join('\n');
}

/** A whole configuration; `accessFile` is relative to it. */
export function serverConfig(options: ServerOptions, accessFile: string): string {
  const { tls } = options;
  return [
    '# nats-server -c <this file>. Made once by `plinth access init`; it is yours to change.',
    `listen: ${JSON.stringify(options.listen)}`,
    `server_name: ${options.name ?? 'plinth'}`,
    'max_payload: 1MB',
    'max_control_line: 4KB',
    'write_deadline: "10s"',
    `jetstream { store_dir: ${JSON.stringify(options.storeDirectory)}, max_memory_store: 256MB, max_file_store: 20GB${options.syncAlways ? ', sync_interval: always' : ''} }`,
    ...(options.monitoring === undefined ? [] : [`http: ${JSON.stringify(options.monitoring)}`]),
    ...(options.cluster === undefined ? [] : [clusterConfig(options.cluster)]),
    ...(tls
      ? [
          `tls { timeout: ${LOGIN_SECONDS}, cert_file: ${JSON.stringify(tls.certFile)}, key_file: ${JSON.stringify(tls.keyFile)}${tls.caFile === undefined ? '' : `, ca_file: ${JSON.stringify(tls.caFile)}, verify: true`} }`,
        ]
      : []),
    `include ${JSON.stringify(accessFile)}`,
    '',
  ].join('\n');
}
