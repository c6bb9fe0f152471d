// The architecture, as rules: apps talk over NATS only, domains know nothing but contracts.
/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', comment: 'types alone may go round', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-app-imports-an-app',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'no-lib-imports-an-app',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^apps/' },
    },
    {
      name: 'domain-is-pure',
      comment: 'domain/ imports its own domain and the contracts, nothing else of ours and no framework',
      severity: 'error',
      from: { path: '^apps/([^/]+)/src/domain/', pathNot: '\\.spec\\.ts$' },
      // Croner computes dates from what it is given.
      to: { pathNot: ['^apps/$1/src/domain/', '^libs/contracts/', 'node_modules/croner/'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'domain-does-no-io',
      comment: 'of Node.js only what computes: no files, network or processes',
      severity: 'error',
      from: { path: '^apps/[^/]+/src/domain/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(os|path|path/posix|url|crypto|util|buffer|assert)$' },
    },
    {
      name: 'contracts-import-nothing-of-ours',
      severity: 'error',
      from: { path: '^libs/contracts/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^(apps|libs)/', pathNot: '^libs/contracts/' },
    },
    {
      name: 'testkit-in-tests-only',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: ['^libs/testkit/', '\\.(spec|int-spec)\\.ts$', '^(apps|libs)/[^/]+/src/testing/'] },
      to: { path: '^libs/testkit/' },
    },
    {
      name: 'processes-and-files-in-adapters',
      comment: 'one place per service touches the world',
      severity: 'error',
      from: { path: '^apps/(provisioner|distributor|image-builder|host-agent)/src/(handlers|domain)/', pathNot: 'spec\\.ts$' },
      to: { path: ['^(node:)?(child_process|fs|fs/promises)$', '^node_modules/(typeorm|pg)/'] },
    },
    {
      name: 'local-servers-in-cli-and-testkit-only',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: ['^apps/cli/', '^libs/(testkit|local-servers)/', '\\.(spec|int-spec)\\.ts$', '^(apps|libs)/[^/]+/src/testing/'] },
      to: { path: '^libs/local-servers/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    exclude: { path: ['^(apps|libs)/[^/]+/dist/', '^(test|bench)/dist/', '^.plinth/'] },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.cruise.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  },
};
