/**
 * The holders of the private key that signs images: only the image builder, in docker-compose.yml and in the stack of
 * one machine.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { parse } from 'yaml';
import { planStack, signingKeyFile, trustedKeysDirectory } from './stack-plan.js';

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly secrets?: readonly { readonly source: string; readonly target: string }[];
}

const BUILDER = 'image-builder';
const HOST = 'host-agent-1';
const HOSTS = [HOST, 'host-agent-2'];
const COMPOSE = join(import.meta.dirname, '../../../docker-compose.yml');

/** Where a path inside the container comes from: a volume's name or a path, below the mount. */
function sourceOf({ volumes = [] }: Service, path: string): string | undefined {
  for (const volume of volumes) {
    const [source = '', target = ''] = volume.split(':');
    if (path === target || path.startsWith(`${target}/`)) return normalize(`${source}/${path.slice(target.length)}`);
  }
  return undefined;
}

/**
 * Services, besides the image builder, in which a mount reaches the signing key's directory: the same, one above or one
 * below it.
 */
function holders(services: Readonly<Record<string, Service>>): string[] {
  const builder = services[BUILDER];
  const key = builder && sourceOf(builder, builder.environment?.['PLINTH_SIGNING_KEY'] ?? '');
  if (key === undefined) throw new Error('the image builder has no signing key');
  const directory = dirname(key);
  return Object.entries(services).flatMap(([name, { volumes = [] }]) =>
    name !== BUILDER &&
    volumes.some((volume) => {
      const source = normalize(volume.split(':')[0] ?? '');
      return source === '.' || `${directory}/`.startsWith(`${source}/`) || `${source}/`.startsWith(`${directory}/`);
    })
      ? [name]
      : [],
  );
}

describe('docker-compose.yml', () => {
  const { services } = parse(readFileSync(COMPOSE, 'utf8'), { merge: true }) as {
    services: Readonly<Record<string, Service>>;
  };
  const withMount = (volume: string): Record<string, Service> => ({
    ...services,
    [HOST]: { ...services[HOST], volumes: [...(services[HOST]?.volumes ?? []), volume] },
  });

  it('mounts the private key into the image builder only', () => {
    expect(holders(services)).toEqual([]);
  });

  it.each(['./keys:/keys:ro', './keys/signing:/signing:ro', 'keys/signing/signing-key.pem:/key.pem', '.:/all'])(
    'would be caught with %s in a host',
    (volume) => {
      expect(holders(withMount(volume))).toEqual([HOST]);
    },
  );

  it('gives each service the key of one user of the bus, and each host and storage node its own', () => {
    const keys = Object.entries(services).flatMap(([name, { secrets = [] }]) => {
      const own = secrets.filter(({ target }) => target === 'nats.nk').map(({ source }) => source);
      return own.length === 0 ? [] : [[name, own] as const];
    });
    expect(Object.fromEntries(keys)).toEqual({
      'image-builder': ['image-builder'],
      provisioner: ['provisioner'],
      console: ['console-1'],
      distributor: ['storage-sn-1'],
      'host-agent-1': ['host-host-1'],
      'host-agent-2': ['host-host-2'],
    });
    for (const name of HOSTS)
      expect(services[name]?.environment?.['PLINTH_HOST']).toBe(name.replace('host-agent', 'host'));
  });

  it('gives hosts and storage nodes a directory of public keys', () => {
    for (const name of ['distributor', ...HOSTS]) {
      const service = services[name];
      expect(service && sourceOf(service, service.environment?.['PLINTH_TRUSTED_KEYS'] ?? '')).toBe('keys/trusted/');
    }
  });
});

describe('the stack of one machine', () => {
  const plan = planStack({
    home: '/h',
    installation: '/i',
    hosts: 2,
    storageNodes: 2,
    natsUrl: 'nats://n',
    databaseUrl: 'postgres://p',
    logLevel: 'info',
    memoryBytes: 1000,
    cpus: 4,
  });

  it('names the private key to the image builder only', () => {
    const holders = plan.filter(({ environment }) =>
      Object.values(environment(1, 2)).some((value) => value.includes(dirname(signingKeyFile('/h')))),
    );
    expect(holders.map(({ app }) => app)).toEqual([BUILDER]);
  });

  it('gives hosts and storage nodes a directory that has no private key in or below it', () => {
    const trusted = trustedKeysDirectory('/h');
    expect(signingKeyFile('/h').startsWith(`${trusted}/`)).toBe(false);
    expect(trusted.startsWith(`${dirname(signingKeyFile('/h'))}/`)).toBe(false);
    for (const { app, environment } of plan)
      expect(environment(1, 2)['PLINTH_TRUSTED_KEYS']).toBe(
        app === 'distributor' || app === 'host-agent' ? trusted : undefined,
      );
  });
});
