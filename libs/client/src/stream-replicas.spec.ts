import { expect, it } from '@jest/globals';
import { missingMessages, type StreamReplica } from './stream-replicas.js';

const copy = (server: string, stream: string, messages: number, first: number, last: number): StreamReplica => ({
  server,
  stream,
  messages,
  firstSequence: first,
  lastSequence: last,
});

it.each<[string, StreamReplica[], string[]]>([
  ['whole', [copy('a', 'PLINTH_EVENTS', 5, 1, 5), copy('b', 'PLINTH_EVENTS', 5, 1, 5)], []],
  ['empty', [copy('a', 'PLINTH_EVENTS', 0, 0, 0)], []],
  ['empty after its messages grew old', [copy('a', 'PLINTH_EVENTS', 0, 8, 7)], []],
  ['behind', [copy('a', 'PLINTH_EVENTS', 5, 1, 5), copy('b', 'PLINTH_EVENTS', 4, 1, 4)], []],
  [
    'a hole',
    [copy('a', 'PLINTH_EVENTS', 5, 1, 5), copy('b', 'PLINTH_EVENTS', 3, 1, 5)],
    ['b lacks 2 messages of PLINTH_EVENTS'],
  ],
  [
    'the same hole everywhere',
    [copy('a', 'PLINTH_REPORTS', 4, 1, 5), copy('b', 'PLINTH_REPORTS', 4, 1, 5)],
    ['a lacks 1 messages of PLINTH_REPORTS', 'b lacks 1 messages of PLINTH_REPORTS'],
  ],
  ['dropped dead letters', [copy('a', 'PLINTH_DEADLETTERS', 3, 1, 9), copy('b', 'PLINTH_DEADLETTERS', 3, 1, 9)], []],
  [
    'a dead letter fewer',
    [copy('a', 'PLINTH_DEADLETTERS', 3, 1, 9), copy('b', 'PLINTH_DEADLETTERS', 2, 1, 9)],
    ['b lacks 1 messages of PLINTH_DEADLETTERS'],
  ],
])('%s', (_what, replicas, problems) => {
  expect(missingMessages(replicas)).toEqual(problems);
});
