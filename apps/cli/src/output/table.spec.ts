import { describe, expect, it } from '@jest/globals';
import { escapeControls, escapeJson } from '@plinth/client';
import { age, bytes, PagedTable, table } from './table.js';

describe('table', () => {
  it('aligns, marks what is absent and leaves no blanks at the end', () =>
    expect(
      table(
        ['A', 'LONGER'],
        [
          ['value', 1],
          [null, undefined],
          ['', 'x'],
        ],
      ),
    ).toBe('A      LONGER\nvalue  1\n-      -\n-      x'));
  it('keeps one row on one line and escapes control characters', () =>
    expect(table(['A'], [['a\nb\tc\u001b[2J\r']])).toBe('A\na b c\\x1b[2J\\x0d'));
  it('keeps its columns from page to page', () => {
    const paged = new PagedTable(['NAME', 'STATE']);
    expect(paged.page([['shop-1', 'running']])).toBe('NAME    STATE\nshop-1  running');
    expect(paged.page([['a', 'lost']])).toBe('a       lost');
    expect(paged.page([['much-longer', null]])).toBe('much-longer  -');
  });
  it('shows headings when there is no row', () => expect(table(['A', 'B'], [])).toBe('A  B'));
});

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [12_345_678, '11.8 MiB'],
    [3 * 1024 ** 4, '3.0 TiB'],
    [null, '-'],
    [undefined, '-'],
  ])('%j is %s', (value, text) => expect(bytes(value)).toBe(text));
});

describe('age', () => {
  const now = Date.parse('2026-01-03T00:00:00Z');
  it.each([
    ['2026-01-02T23:59:48Z', '12 s'],
    ['2026-01-02T23:57:00Z', '3 min'],
    ['2026-01-02T19:00:00Z', '5 h'],
    ['2026-01-01T00:00:00Z', '2 d'],
    ['2026-01-03T00:00:05Z', '0 s'],
    [null, '-'],
    ['', '-'],
    ['no time', '-'],
  ])('%j is %s', (iso, text) => expect(age(iso, now)).toBe(text));
});

describe('escapeControls', () => {
  it.each([
    ['plain äöü 漢字', 'plain äöü 漢字'],
    ['a\u001b]0;x\u0007b', 'a\\x1b]0;x\\x07b'],
    ['line\n\ttab', 'line\n\ttab'],
    ['\u009b31m\u007f', '\\x9b31m\\x7f'],
  ])('%j', (text, shown) => {
    expect(escapeControls(text)).toBe(shown);
    expect(escapeControls(shown)).toBe(shown);
  });
});

describe('escapeJson', () => {
  it('changes the text, not the value', () => {
    const value = { a: '\u009b31m\u007f\u001b' };
    const json = escapeJson(JSON.stringify(value));
    // oxlint-disable-next-line no-control-regex -- exactly these must not be there
    expect(json).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(JSON.parse(json)).toEqual(value);
  });
});
