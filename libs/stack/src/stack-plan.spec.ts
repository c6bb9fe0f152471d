import { planStack } from './stack-plan.js';

describe('planStack', () => {
  const plan = planStack({
    home: '/h',
    installation: '/i',
    hosts: 2,
    storageNodes: 3,
    natsUrl: 'nats://n',
    accessDirectory: '/a',
    databaseUrl: 'postgres://p',
    logLevel: 'info',
    memoryBytes: 1000,
    cpus: 4,
  });
  const environmentOf = (id: string): Readonly<Record<string, string>> =>
    plan.find((service) => service.id === id)?.environment(1234, 5678) ?? {};

  it('has one distributor per storage node and one agent per host', () => {
    expect(plan.map((service) => service.id)).toEqual([
      'provisioner-1',
      'image-builder-1',
      'distributor-sn-1',
      'distributor-sn-2',
      'distributor-sn-3',
      'host-agent-host-1',
      'host-agent-host-2',
      'console-1',
    ]);
  });

  it('shares the machine out among the hosts', () => {
    expect(environmentOf('host-agent-host-2')).toMatchObject({
      PLINTH_CAPACITY_MEMORY_BYTES: '400',
      PLINTH_CAPACITY_CPUS: '2',
      PLINTH_HOST: 'host-2',
    });
  });

  it('gives hosts, and nothing else, the network of CNI that a person sets', () => {
    const options = { installation: '/i', hosts: 1, storageNodes: 1, natsUrl: 'n', databaseUrl: 'p', logLevel: 'info' };
    const services = planStack({ ...options, home: '/h', memoryBytes: 1000, cpus: 4, cniConfig: '/etc/shop.conflist' });
    const having = services.filter(
      (service) => service.environment(1, 2)['PLINTH_CNI_CONFIG'] === '/etc/shop.conflist',
    );
    expect(having.map(({ id }) => id)).toEqual(['host-agent-host-1']);
    expect(environmentOf('host-agent-host-1')).not.toHaveProperty('PLINTH_CNI_CONFIG');
  });

  it('gives the database only to those that need it', () => {
    const holders = plan.filter((service) => 'DATABASE_URL' in service.environment(1, 2)).map((service) => service.app);
    expect(holders).toEqual(['provisioner', 'image-builder', 'console']);
  });

  it('lets every member log in with a key of its own', () => {
    const keys = plan.map((service) => service.environment(1, 2).NATS_NKEY_FILE);
    expect(keys).toEqual(
      [
        'provisioner',
        'image-builder',
        'storage-sn-1',
        'storage-sn-2',
        'storage-sn-3',
        'host-host-1',
        'host-host-2',
        'console-1',
      ].map((id) => `/a/seeds/${id}.nk`),
    );
  });

  it('lets storage nodes download from the port of the image builder', () => {
    expect(environmentOf('image-builder-1')).toMatchObject({
      PLINTH_HTTP_PORT: '1234',
      PLINTH_DOWNLOAD_PORT: '5678',
      PLINTH_PUBLIC_URL: 'http://127.0.0.1:5678',
    });
  });
});
