import { expect, it } from '@jest/globals';
import { firstOf, neighbourPlan } from './neighbour-plan.js';

const was = (...hosts: readonly string[]) => hosts.map((host) => ({ host, ended: false }));
const ended = (...hosts: readonly string[]) => hosts.map((host) => ({ host, ended: true }));

it.each([
  ['nobody', [], [], { changed: [], begin: [], end: [] }],
  ['the first host', ['a'], [], { changed: [], begin: ['a'], end: [] }],
  ['the same hosts', ['a', 'b'], was('a', 'b'), { changed: ['a', 'b'], begin: [], end: [] }],
  ['a host more', ['a', 'b'], was('a'), { changed: ['a'], begin: ['b'], end: [] }],
  ['a host less', ['b'], was('a', 'b'), { changed: ['b'], begin: [], end: ['a'] }],
  ['a move of the only one', ['b'], was('a'), { changed: [], begin: ['b'], end: ['a'] }],
  ['a host that begins again', ['a'], ended('a'), { changed: [], begin: ['a'], end: [] }],
  ['a host that ended before', [], ended('a'), { changed: [], begin: [], end: [] }],
])('%s', (_what, serving, known, plan) => {
  expect(neighbourPlan({ serving, known })).toEqual(plan);
});

it.each([
  ['ends before it begins', 3, { begin: ['c'], end: ['a', 'b'], isMore: true }],
  ['only ends', 2, { begin: [], end: ['a', 'b'], isMore: true }],
  ['all at once', 4, { begin: ['c', 'd'], end: ['a', 'b'], isMore: false }],
])('in parts: %s', (_what, most, expected) => {
  const plan = { changed: ['k'], begin: ['c', 'd'], end: ['a', 'b'] };
  expect(firstOf(plan, most)).toEqual({ changed: ['k'], ...expected });
});
