import { expect, it } from '@jest/globals';
import { reportBefore } from './message-faults.js';

const container = { id: 'a', host: 'host-1', image: 'tiny@v1' };

it('repeats an old report of a container only when its host has published a newer one', () => {
  const at = '2026-01-01T12:00:00Z';
  expect(reportBefore({ ...container, reportSequence: 28_000_000 }, at)).toMatchObject({ sequence: 1, generation: 1 });
  expect(reportBefore({ ...container, reportSequence: 2 }, at)).toMatchObject({ sequence: 1 });
  // Its number would not be below the last one: the provisioner would accept it as the end of a run.
  expect(reportBefore({ ...container, reportSequence: 0 }, at)).toBeUndefined();
});
