import { describe, expect, it } from '@jest/globals';
import { ConmonLogParser } from './conmon-log.js';

const LOG = [
  '2026-06-01T00:00:00.000000001+00:00 stdout F hello',
  '2026-06-01T00:00:00.000000002+00:00 stdout P be',
  '2026-06-01T00:00:00.000000003+00:00 stderr F oh  no ',
  '2026-06-01T00:00:00.000000004+00:00 stdout F gun',
  '2026-06-01T00:00:00.000000005+00:00 stdout F ',
  'torn line',
  '2026-06-01T00:00:00.000000006+00:00 stdin F what',
  '2026-06-01T00:00:00.000000007+00:00 stdout P unfinished',
  '',
].join('\n');

function parse(chunks: readonly Buffer[]): string[] {
  const parser = new ConmonLogParser();
  return [...chunks.flatMap((chunk) => [...parser.push(chunk)]), ...parser.flush()].map(
    (line) => `${line.time.at(-7)} ${line.stream} ${line.text.toString()}`,
  );
}

describe('ConmonLogParser', () => {
  it('joins pieces of lines per stream and drops text that is not an entry', () => {
    expect(parse([Buffer.from(LOG)])).toEqual([
      '1 stdout hello',
      '3 stderr oh  no ',
      '2 stdout begun',
      '5 stdout ',
      '7 stdout unfinished',
    ]);
  });

  it('returns the same lines however the file is cut', () => {
    const whole = parse([Buffer.from(LOG)]);
    for (const size of [1, 2, 3, 7, 50]) {
      const chunks = Array.from({ length: Math.ceil(LOG.length / size) }, (_, index) =>
        Buffer.from(LOG.slice(index * size, (index + 1) * size)),
      );
      expect(parse(chunks)).toEqual(whole);
    }
  });

  it('cuts a line that never ends', () => {
    const piece = Buffer.from(`t stdout P ${'x'.repeat(8_192)}\n`);
    const parser = new ConmonLogParser();
    const lines = Array.from({ length: 20 }, () => [...parser.push(piece)]).flat();
    expect(lines.map((line) => line.text.length)).toEqual([65_536, 65_536]);
  });
});
