/** The architecture as rules; `npm run check` enforces them. */
module.exports = {
  forbidden: [
    { name: 'no-circular', comment: 'a cycle has no beginning to read from', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'no-app-to-app', comment: 'services meet on the bus only', severity: 'error', from: { path: '^apps/([^/]+)/src' }, to: { path: '^apps/', pathNot: '^apps/$1/' } },
    {
      name: 'domain-is-pure',
      comment: 'domain code decides on its arguments alone',
      severity: 'error',
      from: { path: '^apps/[^/]+/src/domain/', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: ['^apps/[^/]+/src/domain/', '^libs/contracts/', '^@plinth/contracts$', 'node:path', '^node_modules/(yaml|class-validator|class-transformer)/', '^(path|crypto|os)$'] },
    },
    { name: 'contracts-is-leaf', comment: 'everything depends on it', severity: 'error', from: { path: '^libs/contracts/src', pathNot: '\\.spec\\.ts$' }, to: { path: '^(apps|libs/(?!contracts))' } },
    {
      name: 'testkit-from-tests',
      comment: 'servers for tests stay out of the product',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: ['\\.(spec|int-spec|e2e-spec)\\.ts$', '^libs/testkit/', '/testing/'] },
      to: { path: '^libs/testkit/' },
    },
    {
      name: 'processes-and-files-in-adapters',
      comment: 'one place per service touches the world',
      severity: 'error',
      from: { path: '^apps/(provisioner|distributor|image-builder|host-agent)/src/(handlers|domain)/', pathNot: 'spec\\.ts$' },
      to: { path: '^(child_process|fs|fs/promises|node:child_process|node:fs.*|typeorm|pg)$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['dist/', '\\.plinth/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    combinedDependencies: true,
  },
};
