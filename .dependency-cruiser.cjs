// The architecture, as rules: apps talk over NATS only, domains know nothing but contracts, nothing imports upward.
// docs/architecture.md, "Where things are", describes the same in words.

/** Rooms of a service from the top floor down: a room imports only rooms below it (and its own). */
const FLOORS = {
  provisioner: [
    ['reports', 'hosts', 'queries', 'retention', 'metrics'],
    ['rebalance'],
    ['rollouts', 'moves'],
    ['containers'],
    ['network'],
    ['placement'],
    ['images'],
    ['postgres'],
  ],
  'image-builder': [['handlers'], ['building', 'inspection'], ['adapters'], ['domain']],
  distributor: [['handlers'], ['distribution'], ['adapters'], ['domain']],
  console: [['handlers'], ['access', 'live'], ['adapters'], ['domain']],
  'host-agent': [['handlers'], ['reconcile'], ['adapters'], ['domain']],
};
/** Files of a service that may import every room: they put it together. */
const WIRING = '(?:main|[^/]+\\.module|config|tokens|lease-guard|name-resolver|[^/]+\\.worker)\\.ts$';
const TEST = '\\.(?:spec|int-spec|e2e-spec)\\.ts$|/testing/';

const nothingImportsUpward = Object.entries(FLOORS).flatMap(([app, floors]) =>
  floors.slice(1).map((floor, index) => ({
    name: `${app}: ${floor.join(', ')} imports nothing from above`,
    severity: 'error',
    from: { path: `^apps/${app}/src/(?:${floor.join('|')})/`, pathNot: TEST },
    to: {
      path: `^apps/${app}/src/(?:${floors
        .slice(0, index + 1)
        .flat()
        .join('|')})/`,
    },
  })),
);

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'types alone may go round',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-app-imports-an-app',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    { name: 'no-lib-imports-an-app', severity: 'error', from: { path: '^libs/' }, to: { path: '^apps/' } },
    {
      name: 'domain-is-pure',
      comment: 'domain/ imports domains of its own service and the contracts, nothing else of ours and no framework',
      severity: 'error',
      from: { path: '^apps/([^/]+)/src/[a-z/-]*domain/', pathNot: '\\.spec\\.ts$' },
      // Croner computes dates from what it is given.
      to: {
        pathNot: [
          '^apps/$1/src/[a-z/-]*domain/',
          '^libs/contracts/',
          '^libs/image-transfer/src/domain/',
          'node_modules/croner/',
        ],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'domain-does-no-io',
      comment: 'of Node.js only what computes: no files, network or processes',
      severity: 'error',
      from: {
        path: [
          '^apps/[^/]+/src/[a-z/-]*domain/',
          '^libs/container-runtime/src/spec/',
          '^libs/image-transfer/src/domain/',
        ],
        pathNot: '\\.spec\\.ts$',
      },
      to: {
        dependencyTypes: ['core'],
        pathNot: '^(?:node:)?(?:os|path|path/posix|url|crypto|util|buffer|assert)$',
      },
    },
    ...nothingImportsUpward,
    {
      name: 'sql-in-stores-only',
      comment: 'a query stands in a *.store.ts, a migration or an adapter; others hand an EntityManager on',
      severity: 'error',
      from: {
        path: '^apps/',
        pathNot: [TEST, '\\.store\\.ts$', '/postgres/', WIRING],
      },
      to: { path: '^node_modules/(?:typeorm|pg)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'files-and-processes-in-adapters-only',
      comment: 'one place per service touches the world',
      severity: 'error',
      from: {
        path: '^apps/(?:provisioner|distributor|image-builder|host-agent|console)/src/',
        pathNot: [TEST, '/adapters/', WIRING],
      },
      to: { path: '^(?:node:)?(?:child_process|fs|fs/promises|net|http|https|worker_threads)$' },
    },
    {
      name: 'foreign-calls-in-host-os-only',
      comment: 'one library calls the C library; libs/container-runtime/src/kernel binds its calls through it',
      severity: 'error',
      from: { pathNot: '^libs/host-os/' },
      to: { path: '(?:^|/)node_modules/koffi/' },
    },
    {
      name: 'host-os-in-adapters-only',
      comment: 'it is the world too: files, locks, calls of the kernel',
      severity: 'error',
      from: {
        path: '^apps/(?:provisioner|distributor|image-builder|host-agent|console)/src/',
        pathNot: [TEST, '/adapters/', WIRING],
      },
      to: { path: '^libs/host-(?:os|network)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'runtime-spec-is-pure',
      comment:
        'libs/container-runtime/src/spec computes; run/ runs; kernel/ hangs on the inner workings of the kernel, glibc and crun',
      severity: 'error',
      from: { path: '^libs/container-runtime/src/spec/', pathNot: TEST },
      to: { path: '^libs/container-runtime/src/(?:run|kernel)/' },
    },
    {
      name: 'runtime-kernel-is-lowest',
      severity: 'error',
      from: { path: '^libs/container-runtime/src/kernel/', pathNot: TEST },
      to: { path: '^libs/container-runtime/src/run/' },
    },
    {
      name: 'image-transfer-domain-is-pure',
      severity: 'error',
      from: { path: '^libs/image-transfer/src/domain/', pathNot: TEST },
      to: { path: '^libs/', pathNot: '^libs/(?:image-transfer/src/domain|contracts)/' },
    },
    {
      name: 'contracts-import-nothing-of-ours',
      severity: 'error',
      from: { path: '^libs/contracts/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^(?:apps|libs)/', pathNot: '^libs/contracts/' },
    },
    {
      name: 'testkit-in-tests-only',
      severity: 'error',
      from: { path: '^(?:apps|libs)/', pathNot: ['^libs/testkit/', TEST] },
      to: { path: '^libs/(?:testkit|[^/]+/src/testing)/' },
    },
    {
      name: 'local-servers-in-stack-and-tests-only',
      severity: 'error',
      from: {
        path: '^(?:apps|libs)/',
        pathNot: ['^apps/cli/', '^libs/(?:testkit|local-servers|stack|lab|bus-access)/', TEST],
      },
      to: { path: '^libs/local-servers/' },
    },
    {
      name: 'services-know-no-operator-tools',
      severity: 'error',
      from: { path: '^apps/(?:provisioner|distributor|image-builder|host-agent|console)/', pathNot: TEST },
      to: { path: '^libs/(?:bus-access|stack|lab)/' },
    },
    {
      name: 'services-know-no-client',
      comment: 'but the console, which does what operators do: in its adapters',
      severity: 'error',
      from: {
        path: '^apps/(?:provisioner|distributor|image-builder|host-agent|console)/',
        pathNot: [TEST, '^apps/console/src/adapters/'],
      },
      to: { path: '^libs/client/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    exclude: { path: ['^(?:apps|libs)/[^/]+/(?:dist|build)/', '^(?:test|bench)/dist/', '^.plinth/'] },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.cruise.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  },
};
