import { describe, expect, it } from '@jest/globals';
import { parseDpkgStatus, sortPackages } from './dpkg-status.js';

const stanza = (changes: Record<string, string | undefined> = {}): string =>
  Object.entries({
    Package: 'bash',
    Status: 'install ok installed',
    Architecture: 'amd64',
    Version: '5.2.15-2+b7',
    ...changes,
  })
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
    .join('\n');
const BASH = { name: 'bash', version: '5.2.15-2+b7', architecture: 'amd64' };

describe('parseDpkgStatus', () => {
  const cases: readonly [string, string, readonly object[]][] = [
    ['nothing', '', []],
    ['one package', `${stanza()}\n`, [BASH]],
    [
      'two, with blank lines of blanks between',
      `${stanza()}\n  \n\n${stanza({ Package: 'libc6' })}`,
      [BASH, { ...BASH, name: 'libc6' }],
    ],
    ['carriage returns', stanza().replaceAll('\n', '\r\n'), [BASH]],
    ['an epoch and a tilde', stanza({ Version: '1:2.38~rc1-5' }), [{ ...BASH, version: '1:2.38~rc1-5' }]],
    ['one that is held', stanza({ Status: 'hold ok installed' }), [BASH]],
    ['one that is removed', stanza({ Status: 'deinstall ok config-files' }), []],
    ['one that is half installed', stanza({ Status: 'install ok half-configured' }), []],
    ['one without a status, as in status.d', stanza({ Status: undefined }), [BASH]],
    ['no version', stanza({ Version: undefined }), []],
    ['a name that is a path', stanza({ Package: '../../etc' }), []],
    ['a name with control characters', stanza({ Package: 'a\u001b[2J' }), []],
    ['a version that is a script', stanza({ Version: '1; rm -rf /' }), []],
    ['a version without end', stanza({ Version: '1'.repeat(1_000) }), []],
    [
      'a field that looks like one in a description',
      `${stanza()}\nDescription: x\n Package: evil\n Version: 9`,
      [BASH],
    ],
    ['a field twice', `${stanza()}\nVersion: 9`, [BASH]],
    ['names of prototypes', '__proto__: x\nconstructor: y', []],
    [
      'a line without end between good ones',
      `${stanza()}\nDescription: ${'a b '.repeat(500_000)}\n\n${stanza({ Package: 'libc6' })}`,
      [BASH, { ...BASH, name: 'libc6' }],
    ],
    ['blanks and line breaks without end', `${' \n'.repeat(500_000)}${stanza()}`, [BASH]],
    ['binary', '\u0000\u0001\n\u0002:', []],
  ];
  it.each(cases)('%s', (_what, text, packages) => expect(parseDpkgStatus(text)).toEqual(packages));
});

describe('sortPackages', () => {
  it('gives each package of an architecture once', () => {
    const arm = { ...BASH, architecture: 'arm64' };
    expect(sortPackages([{ ...BASH, name: 'zsh' }, arm, BASH, BASH])).toEqual([BASH, arm, { ...BASH, name: 'zsh' }]);
  });
});
