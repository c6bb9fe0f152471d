import { ByteBudget } from './byte-budget.js';
import { LogLines } from './log-lines.js';
import { shownText } from './log-text.js';

describe('lines', () => {
  const push = (...pieces: readonly (readonly ['stdout' | 'stderr', string | Buffer])[]): string[] => {
    const lines = new LogLines();
    return pieces
      .flatMap(([stream, piece]) => lines.push(stream, Buffer.from(piece)))
      .map(({ time, stream, text }) => `${stream}|${time}|${text}`);
  };

  it('are whole, however they are cut, and of their own stream', () => {
    expect(push(['stdout', 'T1 a b\nT2 '], ['stderr', 'T3 x\n'], ['stdout', 'half'], ['stdout', ' c\nT4 \n'])).toEqual([
      'stdout|T1|a b',
      'stderr|T3|x',
      'stdout|T2|half c',
      'stdout|T4|',
    ]);
  });

  it('are cut where they never end, and text whatever their bytes are', () => {
    const [first, ...others] = push(['stdout', `T ${'x'.repeat(300_000)}`]);
    expect([first?.length, others]).toEqual(['stdout|T|'.length + 300_000, []]);
    expect(push(['stdout', Buffer.from([0x54, 0x20, 0xff, 0x00, 0xc3, 0x0a])])).toEqual([
      'stdout|T|\ufffd\u0000\ufffd',
    ]);
  });
});

it.each([
  ['colours', '\u001b[1;31mred\u001b[0m', 'red'],
  ['a title', '\u001b]0;owned\u0007after', 'after'],
  ['a link', '\u001b]8;;http://e.example\u001b\\text\u001b]8;;\u001b\\', 'text'],
  ['moves and clears', 'a\u001b[2J\u001b[Hb\u001bc\u001b(Bc', 'abc'],
  ['the one-character form', '\u009b31mred', 'red'],
  ['a sequence that does not end', 'x\u001b[31', 'x\\x1b[31'],
  ['a bell and a return', 'a\u0007\rb\r', 'a\\x07\\x0db'],
  ['another direction', 'a\u202egnp.exe', 'a\\u202egnp.exe'],
  ['markup and tabs as they are', '<b>\t&amp;', '<b>\t&amp;'],
])('text without %s', (_, text, shown) => {
  expect(shownText(text)).toBe(shown);
});

it('a budget lets some through at once, and then so many a second', () => {
  const budget = new ByteBudget(1_000, 500);
  expect(budget.spend(500, 0)).toBe(0);
  expect(budget.spend(250, 0)).toBe(250);
  expect(budget.spend(100, 250)).toBe(100);
  expect(budget.spend(500, 10_000)).toBe(0);
});
