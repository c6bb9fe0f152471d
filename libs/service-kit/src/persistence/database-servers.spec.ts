import { describe, expect, it } from '@jest/globals';
import { databaseServers, primaryAmong, type ServerAnswer } from './database-servers.js';

describe('databaseServers', () => {
  it.each([
    ['postgres://u:p@a:1/plinth', ['postgres://u:p@a:1/plinth']],
    ['postgres://u:p@a:1,b:2/plinth?x=y', ['postgres://u:p@a:1/plinth?x=y', 'postgres://u:p@b:2/plinth?x=y']],
    ['postgresql://a,b/plinth', ['postgresql://a/plinth', 'postgresql://b/plinth']],
    ['postgres://u:p@[::1]:1,[::2]:2/d', ['postgres://u:p@[::1]:1/d', 'postgres://u:p@[::2]:2/d']],
  ])('%s', (url, servers) => {
    expect(databaseServers(url)).toEqual(servers);
  });

  it.each([
    '',
    'plinth',
    'mysql://a/b',
    'postgres://u:p@/plinth',
    'postgres://u:p@a:1,/plinth',
    'postgres://u:p@a:x/d',
  ])('refuses %s', (url) => {
    expect(() => databaseServers(url)).toThrow('DATABASE_URL must look like');
  });
});

it.each<[string, ServerAnswer[], number | undefined]>([
  ['none', [], undefined],
  ['standbys only', [{ server: 0, primary: false }], undefined],
  [
    'one',
    [
      { server: 0, primary: false },
      { server: 1, primary: true, timeline: 1 },
    ],
    1,
  ],
  [
    'the one that was promoted last',
    [
      { server: 0, primary: true, timeline: 3 },
      { server: 1, primary: true, timeline: 4 },
    ],
    1,
  ],
  [
    'in any order',
    [
      { server: 1, primary: true, timeline: 4 },
      { server: 0, primary: true, timeline: 3 },
    ],
    1,
  ],
])('primaryAmong: %s', (_what, answers, server) => {
  expect(primaryAmong(answers)?.server).toBe(server);
});
