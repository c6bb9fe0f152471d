// The order in which jest begins the files: those that take longest first, so that none of them runs alone at the end.

/** Seconds, roughly; others take less than the least of these. */
const LONG = {
  'test/rollouts.e2e-spec.ts': 230,
  'test/chaos.e2e-spec.ts': 200,
  'containers/intake.int-spec.ts': 110,
  'test/hosts.e2e-spec.ts': 105,
  'image-builder/src/builds.int-spec.ts': 100,
  'test/main-path.e2e-spec.ts': 80,
  'src/distributor.int-spec.ts': 75,
  'src/host-agent.int-spec.ts': 70,
  'src/leases.int-spec.ts': 70,
  'test/retirement.e2e-spec.ts': 55,
  'src/processes.int-spec.ts': 50,
  'test/fuzz.e2e-spec.ts': 45,
  'src/access.int-spec.ts': 35,
};

const secondsOf = ({ path }) => Object.entries(LONG).find(([end]) => path.endsWith(end))?.[1] ?? 0;

/** The shape that jest requires of a `testSequencer`. */
export default class LongestFirst {
  sort(tests) {
    return [...tests].sort((a, b) => secondsOf(b) - secondsOf(a) || a.path.localeCompare(b.path));
  }

  shard(tests, { shardIndex, shardCount }) {
    return tests.filter((_, index) => index % shardCount === shardIndex - 1);
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {
    // The table above is also there in a checkout that has not run any test yet.
  }
}
