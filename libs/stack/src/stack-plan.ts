/**
 * Which processes make a stack, with argv and environment: pure, so that it can be shown and tested without starting
 * anything.
 */
import { dirname, join } from 'node:path';
import { ACTING_ROLES } from '@plinth/contracts';
import { downloadTokenFile, seedFile } from '@plinth/bus-access';
import type { Member } from '@plinth/bus-access';

export interface StackOptions {
  readonly home: string;
  /** Top of the installation; the applications lie in `apps/<name>/dist/main.js` below it. */
  readonly installation: string;
  readonly hosts: number;
  readonly storageNodes: number;
  /** Where hosts have images from; see PLINTH_IMAGES of the host agent. */
  readonly images?: 'attached' | 'own';
  /** Network configuration list of CNI; absent: hosts give containers the network of this system. */
  readonly cniConfig?: string | undefined;
  readonly natsUrl: string;
  /** Made by `plinth access`; absent: the bus has no access control. */
  readonly accessDirectory?: string;
  readonly databaseUrl: string;
  readonly logLevel: string;
  /** Memory of the machine: shared out among the hosts. */
  readonly memoryBytes: number;
  readonly cpus: number;
}

export interface PlannedService {
  /** Unique, e.g. `host-agent-2`. */
  readonly id: string;
  readonly app: 'image-builder' | 'provisioner' | 'distributor' | 'host-agent' | 'console';
  readonly main: string;
  /** Ports are added when they are known: of health, and of downloads where it serves some. */
  readonly environment: (port: number, downloads: number) => Readonly<Record<string, string>>;
  readonly directories: readonly string[];
}

const DATACENTER = 'dc-1';
/** Share of the machine's memory that containers may be given. */
const MEMORY_SHARE = 0.8;
const CONTAINERS_PER_HOST = 2_000;

export const hostDirectory = (home: string, host: string): string => join(home, 'hosts', host);
export const storageDirectory = (home: string, node: string): string => join(home, 'storage', node);
/** Public keys only: all that hosts and storage nodes need. */
export const trustedKeysDirectory = (home: string): string => join(home, 'keys', 'trusted');
/** By which `plinth console` makes links that the console takes. */
export const consoleLinkFile = (home: string): string => join(home, 'console', 'link-secret');
export const stackAccessDirectory = (home: string): string => join(home, 'access');
/** The private key, in a directory that is only the image builder's. */
export const signingKeyFile = (home: string): string => join(home, 'signing', 'signing-key.pem');

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);

/** Every member that logs in to a stack's bus. */
export function stackMembers(hosts: number, storageNodes: number): readonly Member[] {
  return [
    { kind: 'provisioner' },
    { kind: 'image-builder' },
    ...numbered('sn', storageNodes).map((name): Member => ({ kind: 'storage', name })),
    ...numbered('host', hosts).map((name): Member => ({ kind: 'host', name })),
    { kind: 'console', name: '1' },
    ...ACTING_ROLES.map((name): Member => ({ kind: 'acts', name })),
    { kind: 'upstream' },
    { kind: 'operator' },
  ];
}

/**
 * In the order in which they are started; stopped in the reverse. The provisioner first: it makes the streams and opens
 * the others' consumers.
 */
export function planStack(options: StackOptions): readonly PlannedService[] {
  const { home } = options;
  const nodes = numbered('sn', options.storageNodes);
  const login = (member: Member): Record<string, string> =>
    options.accessDirectory === undefined ? {} : { NATS_NKEY_FILE: seedFile(options.accessDirectory, member) };
  const service = (
    app: PlannedService['app'],
    member: Member,
    id: string,
    directories: readonly string[],
    own: (downloads: number) => Record<string, string>,
  ): PlannedService => ({
    id,
    app,
    main: join(options.installation, 'apps', app, 'dist', 'main.js'),
    directories,
    environment: (port, downloads) => ({
      NATS_URL: options.natsUrl,
      ...login(member),
      PLINTH_SERVICE_ID: id,
      PLINTH_HTTP_PORT: String(port),
      LOG_LEVEL: options.logLevel,
      ...own(downloads),
    }),
  });
  const builderDirectories = [join(home, 'builder'), join(home, 'repository'), join(home, 'sources')];
  return [
    service('provisioner', { kind: 'provisioner' }, 'provisioner-1', [], () => ({ DATABASE_URL: options.databaseUrl })),
    service('image-builder', { kind: 'image-builder' }, 'image-builder-1', builderDirectories, (downloads) => ({
      DATABASE_URL: options.databaseUrl,
      PLINTH_BUILDER_DIR: join(home, 'builder'),
      PLINTH_REPOSITORY_DIR: join(home, 'repository'),
      PLINTH_SOURCES_DIR: join(home, 'sources'),
      PLINTH_SIGNING_KEY: signingKeyFile(home),
      PLINTH_DOWNLOAD_PORT: String(downloads),
      PLINTH_DOWNLOAD_TOKEN_FILE: downloadTokenFile(stackAccessDirectory(home)),
      PLINTH_PUBLIC_URL: `http://127.0.0.1:${downloads}`,
    })),
    ...nodes.map((node) =>
      service(
        'distributor',
        { kind: 'storage', name: node },
        `distributor-${node}`,
        ['images', 'staging', 'volumes', 'software'].map((name) => join(storageDirectory(home, node), name)),
        () => ({
          PLINTH_STORAGE_NODE: node,
          PLINTH_STORAGE_DIR: storageDirectory(home, node),
          PLINTH_DOWNLOAD_TOKEN_FILE: downloadTokenFile(stackAccessDirectory(home)),
          PLINTH_SERVE_PORT: '0',
          PLINTH_DATACENTER: DATACENTER,
          PLINTH_TRUSTED_KEYS: trustedKeysDirectory(home),
        }),
      ),
    ),
    ...numbered('host', options.hosts).map((host) =>
      service('host-agent', { kind: 'host', name: host }, `host-agent-${host}`, [hostDirectory(home, host)], () => ({
        PLINTH_HOST: host,
        PLINTH_HOST_DIR: hostDirectory(home, host),
        PLINTH_STORAGE_MOUNTS: nodes.map((node) => `${node}=${storageDirectory(home, node)}`).join(','),
        PLINTH_DATACENTER: DATACENTER,
        PLINTH_TRUSTED_KEYS: trustedKeysDirectory(home),
        PLINTH_IMAGES: options.images ?? 'attached',
        ...(options.cniConfig !== undefined && { PLINTH_CNI_CONFIG: options.cniConfig }),
        ...(options.images === 'own' && { PLINTH_SERVE_PORT: '0' }),
        PLINTH_DOWNLOAD_TOKEN_FILE: downloadTokenFile(stackAccessDirectory(home)),
        PLINTH_CAPACITY_MEMORY_BYTES: String(Math.floor((options.memoryBytes * MEMORY_SHARE) / options.hosts)),
        PLINTH_CAPACITY_CPUS: String(options.cpus / options.hosts),
        PLINTH_CAPACITY_CONTAINERS: String(CONTAINERS_PER_HOST),
      })),
    ),
    service('console', { kind: 'console', name: '1' }, 'console-1', [], () => ({
      DATABASE_URL: options.databaseUrl,
      PLINTH_CONSOLE: '1',
      PLINTH_CONSOLE_LINK_FILE: consoleLinkFile(home),
      ...(options.accessDirectory === undefined
        ? {}
        : { PLINTH_CONSOLE_ACTS_DIR: dirname(seedFile(options.accessDirectory, { kind: 'operator' })) }),
    })),
  ];
}
