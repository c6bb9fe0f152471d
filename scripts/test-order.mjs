// The order in which jest begins the files: those that take longest first, so that none of them runs alone at the end.

/** Seconds, roughly; others take less than the least of these. */
const LONG = {
  'test/rollouts.e2e-spec.ts': 200,
  'test/chaos.e2e-spec.ts': 200,
  'image-builder/src/builds.int-spec.ts': 150,
  'src/debian-mirror.int-spec.ts': 150,
  'test/main-path.e2e-spec.ts': 130,
  'src/distributor.int-spec.ts': 120,
  'containers/intake.int-spec.ts': 115,
  'test/hosts.e2e-spec.ts': 105,
  'src/leases.int-spec.ts': 95,
  // Not beside the other builds from a mirror.
  'test/system-container.e2e-spec.ts': 76,
  'src/processes.int-spec.ts': 75,
  'src/host-agent.int-spec.ts': 70,
  'network/addresses.int-spec.ts': 60,
  'src/networks.int-spec.ts': 60,
  'test/retirement.e2e-spec.ts': 55,
  'test/health.e2e-spec.ts': 55,
  'test/deadletters.e2e-spec.ts': 50,
  'src/inspection.int-spec.ts': 45,
  'test/fuzz.e2e-spec.ts': 45,
  'src/oci-runtime.int-spec.ts': 45,
  'src/own-users.int-spec.ts': 45,
  'moves/moves.int-spec.ts': 40,
  'test/access.e2e-spec.ts': 35,
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
