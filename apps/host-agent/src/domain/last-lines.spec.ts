import type { LogLine } from './conmon-log.js';
import { LastLines } from './last-lines.js';

const line = (text: string): LogLine => ({ stream: 'stdout', time: 't', text: Buffer.from(text) });

it.each([
  ['the last so many', 2, 100, [['a', 'b'], ['c']], ['b', 'c']],
  ['none', 0, 100, [['a'], ['b']], []],
  ['fewer where they are long', 10, 5, [['aaa', 'bbb'], ['cc']], ['bbb', 'cc']],
  ['no line that is too long by itself', 10, 2, [['a', 'bbb'], ['c']], ['c']],
] as const)('keeps %s', (_, most, bytes, pushes, kept) => {
  const last = new LastLines(most, bytes);
  for (const texts of pushes) last.push(texts.map(line));
  expect(last.lines.map(({ text }) => text.toString())).toEqual(kept);
});
