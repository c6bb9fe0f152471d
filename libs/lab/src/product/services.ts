/** Which programs of the product run on which machine of a lab, with their environment: pure. */
import { join } from 'node:path';
import { DATA } from '../machine-root.js';
import type { PlacedMachine } from './layout.js';

export interface LabService {
  /** Unique in the lab. */
  readonly id: string;
  readonly machine: string;
  readonly app: 'provisioner' | 'image-builder' | 'distributor' | 'host-agent';
  readonly environment: Readonly<Record<string, string>>;
  /** Made before it starts, on its machine. */
  readonly directories: readonly string[];
  /** Member of the bus whose key it has. */
  readonly member: { readonly kind: 'provisioner' | 'image-builder' | 'storage' | 'host'; readonly name?: string };
}

export interface LabAddresses {
  readonly natsUrl: string;
  readonly databaseUrl: string;
  /** Of each stream: 1 with one bus server. */
  readonly streamReplicas: number;
  /** Of each machine, by its name. */
  readonly addressOf: (machine: string) => string;
}

/** Where each machine has what an operator brings there. */
export const KEYS = join(DATA, 'keys');
export const TRUSTED_KEYS = join(KEYS, 'trusted');
export const SIGNING_KEY = join(KEYS, 'signing-key.pem');
export const DOWNLOAD_TOKEN = join(KEYS, 'download.token');
/** Label of storage nodes that are to have images: those beside hosts have volumes only. */
export const IMAGE_LABEL = 'images=yes';

export const BUS_PORT = 4222;
/** Ports are those of the machine alone. */
const [DOWNLOADS, SERVES, HEALTH] = [8090, 8091, 8100];

export const keyFile = (id: string): string => join(KEYS, `${id}.nk`);

export function planServices(machines: readonly PlacedMachine[], addresses: LabAddresses): readonly LabService[] {
  return machines.flatMap((machine) =>
    ownServices(machine, addresses).map((service, index) => ({
      ...service,
      machine: machine.name,
      environment: {
        NATS_URL: addresses.natsUrl,
        NATS_NKEY_FILE: keyFile(service.id),
        PLINTH_SERVICE_ID: service.id,
        PLINTH_HTTP_PORT: String(HEALTH + index),
        LOG_LEVEL: 'info',
        ...service.environment,
      },
    })),
  );
}

function ownServices(machine: PlacedMachine, addresses: LabAddresses): Omit<LabService, 'machine'>[] {
  const { name, role } = machine;
  switch (role) {
    case 'control':
      return [
        {
          id: 'provisioner-1',
          app: 'provisioner',
          member: { kind: 'provisioner' },
          directories: [],
          environment: {
            DATABASE_URL: addresses.databaseUrl,
            ...(addresses.streamReplicas > 1 ? { PLINTH_BUS_REPLICAS: String(addresses.streamReplicas) } : {}),
          },
        },
        builder(addresses.databaseUrl, addresses.addressOf(name)),
      ];
    case 'bus':
      return [];
    case 'storage':
      return [storageNode(machine, name, addresses, IMAGE_LABEL)];
    case 'host':
      return [storageNode(machine, `disk-${name}`, addresses, 'images=no'), hostAgent(machine, addresses)];
  }
}

function builder(databaseUrl: string, address: string): Omit<LabService, 'machine'> {
  const [work, repository, sources] = ['builder', 'repository', 'sources'].map((part) => join(DATA, part));
  if (!work || !repository || !sources) throw new TypeError('three directories');
  return {
    id: 'image-builder-1',
    app: 'image-builder',
    member: { kind: 'image-builder' },
    directories: [work, repository, sources],
    environment: {
      DATABASE_URL: databaseUrl,
      PLINTH_BUILDER_DIR: work,
      PLINTH_REPOSITORY_DIR: repository,
      PLINTH_SOURCES_DIR: sources,
      PLINTH_SIGNING_KEY: SIGNING_KEY,
      PLINTH_DOWNLOAD_HOST: '0.0.0.0',
      PLINTH_DOWNLOAD_PORT: String(DOWNLOADS),
      PLINTH_DOWNLOAD_TOKEN_FILE: DOWNLOAD_TOKEN,
      PLINTH_PUBLIC_URL: `http://${address}:${DOWNLOADS}`,
    },
  };
}

const storageDirectory = (node: string): string => join(DATA, 'storage', node);

function storageNode(
  { name, datacenter }: PlacedMachine,
  node: string,
  { addressOf }: LabAddresses,
  label: string,
): Omit<LabService, 'machine'> {
  const directory = storageDirectory(node);
  return {
    id: `distributor-${node}`,
    app: 'distributor',
    member: { kind: 'storage', name: node },
    directories: ['images', 'staging', 'volumes', 'software', 'leases'].map((part) => join(directory, part)),
    environment: {
      PLINTH_STORAGE_NODE: node,
      PLINTH_STORAGE_DIR: directory,
      PLINTH_DATACENTER: datacenter,
      PLINTH_LABELS: label,
      PLINTH_TRUSTED_KEYS: TRUSTED_KEYS,
      PLINTH_DOWNLOAD_TOKEN_FILE: DOWNLOAD_TOKEN,
      PLINTH_SERVE_HOST: '0.0.0.0',
      PLINTH_SERVE_PORT: String(SERVES),
      PLINTH_SERVE_URL: `http://${addressOf(name)}:${SERVES}`,
    },
  };
}

/** Its images are its own; its volumes are on its own disk, because nothing but the network crosses to another. */
function hostAgent({ name, datacenter }: PlacedMachine, { addressOf }: LabAddresses): Omit<LabService, 'machine'> {
  const directory = join(DATA, 'host');
  const node = `disk-${name}`;
  return {
    id: `host-agent-${name}`,
    app: 'host-agent',
    member: { kind: 'host', name },
    directories: [directory],
    environment: {
      PLINTH_HOST: name,
      PLINTH_HOST_DIR: directory,
      PLINTH_STORAGE_MOUNTS: `${node}=${storageDirectory(node)}`,
      PLINTH_IMAGES: 'own',
      PLINTH_DATACENTER: datacenter,
      PLINTH_TRUSTED_KEYS: TRUSTED_KEYS,
      PLINTH_DOWNLOAD_TOKEN_FILE: DOWNLOAD_TOKEN,
      PLINTH_HOST_ADDRESS: addressOf(name),
      PLINTH_CAPACITY_MEMORY_BYTES: String(4 * 1024 ** 3),
      PLINTH_CAPACITY_CPUS: '2',
      PLINTH_CAPACITY_CONTAINERS: '500',
    },
  };
}
