// The order in which jest begins the files: those that take longest first, so that none of them runs alone at the end.
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = dirname(dirname(fileURLToPath(import.meta.url)));

/** Seconds of each file that takes 5 s or more; `PLINTH_TEST_RECORD=1 npm test` writes them. */
const recorded = JSON.parse(readFileSync(join(top, 'scripts/test-seconds.json'), 'utf8'));

/** These begin as if they took so long. */
const CHANGED = {
  // Not beside the other builds from a mirror.
  'test/system-container.e2e-spec.ts': 90,
};

const secondsOf = ({ path }) => CHANGED[relative(top, path)] ?? recorded[relative(top, path)] ?? 0;

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
    // The record is also there in a checkout that has not run any test yet.
  }
}
