import { testPackages } from './scripts/test-packages.mjs';

// Specs, and services that inherit their environment, check what they publish and answer against its contract.
process.env.PLINTH_CHECK_CONTRACTS = '1';

/** A directory above the checkout may have this name too. */
const BUILT = '<rootDir>/(?:.+/)?dist/';

const project = (displayName, testMatch) => ({
  displayName,
  testMatch,
  // Outside the temporary files, which `npm test` makes and deletes for each run.
  cacheDirectory: `${import.meta.dirname}/node_modules/.cache/jest`,
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    ...testPackages,
    '^@plinth/container-runtime/private-mount-namespace$':
      '<rootDir>/libs/container-runtime/src/kernel/private-mount-namespace.ts',
    '^@plinth/image-transfer/(domain|service|testing)$': '<rootDir>/libs/image-transfer/src/$1/index.ts',
    '^@plinth/contracts/console$': '<rootDir>/libs/contracts/src/console/index.ts',
    '^@plinth/service-kit/messaging$': '<rootDir>/libs/service-kit/src/messaging-entry.ts',
    '^@plinth/([a-z-]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  modulePathIgnorePatterns: ['<rootDir>/.plinth', BUILT, '<rootDir>/apps/[a-z-]+/build/'],
  testPathIgnorePatterns: ['/node_modules/', BUILT],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          keepClassNames: true,
          target: 'es2022',
        },
        module: { type: 'es6' },
      },
    ],
  },
});

export default {
  projects: [
    project('unit', ['<rootDir>/{apps,libs}/*/src/**/*.spec.ts', '<rootDir>/test/**/*.spec.ts']),
    project('integration', ['<rootDir>/{apps,libs}/*/src/**/*.int-spec.ts', '<rootDir>/test/**/*.int-spec.ts']),
    project('e2e', ['<rootDir>/test/**/*.e2e-spec.ts']),
  ],
  // Far longer than any test takes, on a loaded machine too: it only ends a test that hangs.
  testTimeout: 900_000,
  cacheDirectory: `${import.meta.dirname}/node_modules/.cache/jest`,
  // Once per run, before the first file.
  globalSetup: '<rootDir>/scripts/test-build.mjs',
  testSequencer: '<rootDir>/scripts/test-order.mjs',
  // Always exceeded, so that each file has a process of its own: some enter a private mount namespace, from which no
  // process comes back.
  workerIdleMemoryLimit: '1MB',
};
