import { expect, it } from '@jest/globals';
import { filterProblem } from './filter-support.js';

it('is seen in the status of a process', () => {
  expect(filterProblem('Name:\tnode\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n')).toBeUndefined();
});

it.each(['Name:\tnode\nNoNewPrivs:\t0\n', 'NoNewPrivs:\t0\nSeccomp:\t0\nSpeculation_Store_Bypass:\tunknown\n'])(
  'lacks in a kernel that shows %j',
  (status) => expect(filterProblem(status)).toMatch(/CONFIG_SECCOMP_FILTER/),
);
