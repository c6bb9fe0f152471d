import { describe, expect, it } from '@jest/globals';
import type { MemberHeader } from './archive-members.js';
import { TarError, TarReader } from './tar-reader.js';

/** A header as ustar has it; `raw` overwrites single fields by their offset. */
function header(name: string, size: number, flag = '0', raw: Readonly<Record<number, string | Buffer>> = {}): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, 100);
  block.write('0000644\0', 100);
  block.write('0001750\0', 108);
  block.write('0000007\0', 116);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write('14524770400\0', 136);
  block.write(flag, 156);
  block.write('ustar\x0000', 257, 'latin1');
  for (const [at, value] of Object.entries(raw)) Buffer.from(value).copy(block, Number(at));
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
const padded = (content: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(content), Buffer.alloc((512 - (Buffer.byteLength(content) % 512)) % 512)]);
const member = (name: string, content: string, flag = '0'): Buffer =>
  Buffer.concat([header(name, Buffer.byteLength(content), flag), padded(content)]);
const record = (keyword: string, value: string): string => {
  const rest = ` ${keyword}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (length !== Buffer.byteLength(`${length}${rest}`)) length = Buffer.byteLength(`${length}${rest}`);
  return `${length}${rest}`;
};
const END = Buffer.alloc(1_024);

interface Read {
  readonly header: MemberHeader;
  content: string;
  complete: boolean;
}

function read(file: Buffer, pieces = file.length): Read[] {
  const found: Read[] = [];
  const last = (): Read => found.at(-1) as Read;
  const reader = new TarReader({
    begin: (decoded) => found.push({ header: decoded, content: '', complete: false }) > 0,
    content: (bytes) => {
      last().content += bytes.toString('utf8');
      return true;
    },
    end: () => {
      last().complete = true;
      return true;
    },
  });
  for (let at = 0; at < file.length; at += pieces) reader.push(file.subarray(at, at + pieces));
  reader.finish();
  return found;
}

describe('TarReader', () => {
  const file = Buffer.concat([
    member('a', 'hello'),
    member('dir/', '', '5'),
    header('link', 0, '2', { 157: 'to/here' }),
    member('b', 'x'.repeat(513)),
    END,
  ]);

  it.each([file.length, 1, 7, 511, 512, 513, 1_000])('reads it in pieces of %i bytes', (pieces) => {
    const members = read(file, pieces);
    expect(members.map(({ header: { name, type, size, linkname } }) => [name, type, size, linkname])).toEqual([
      ['a', 'file', 5, null],
      ['dir/', 'directory', 0, null],
      ['link', 'symlink', 0, 'to/here'],
      ['b', 'file', 513, null],
    ]);
    expect(members.map(({ content }) => content)).toEqual(['hello', '', '', 'x'.repeat(513)]);
    expect(members.every(({ complete }) => complete)).toBe(true);
    expect(members[0]?.header).toMatchObject({ mode: 0o644, uid: 1_000, gid: 7, mtime: 1_700_000_000 });
  });

  it.each<[string, Buffer[], Partial<MemberHeader>]>([
    ['a prefix', [header('name', 0, '0', { 345: 'some/where' })], { name: 'some/where/name' }],
    [
      'long names of GNU tar',
      [member('././@LongLink', `${'n'.repeat(255)}\0`, 'L'), member('././@LongLink', 'target\0', 'K'), header('n', 0)],
      { name: 'n'.repeat(255), linkname: 'target' },
    ],
    [
      'an extended header',
      [
        member('x', record('path', 'ä'.repeat(120)) + record('size', '0') + record('comment', 'a=b'), 'x'),
        header('n', 7),
      ],
      { name: 'ä'.repeat(120), size: 0, extensions: { path: 'ä'.repeat(120), size: '0', comment: 'a=b' } },
    ],
    ['a global header', [member('g', record('comment', 'x'), 'g'), header('n', 0)], { extensions: { comment: 'x' } }],
    [
      'a keyword that objects have by themselves',
      [member('x', record('__proto__', 'x'), 'x'), header('n', 0)],
      { extensions: JSON.parse('{"__proto__":"x"}') as Record<string, string> },
    ],
    [
      'a number that does not fit',
      [header('n', 0, '0', { 108: Buffer.from([0x80, 0, 0, 0, 0, 0x40, 0, 0]) })],
      { uid: 0x400000 },
    ],
    ['a type that it does not know', [header('n', 0, 'S')], { type: null }],
  ])('reads %s', (_, blocks, expected) => {
    expect(read(Buffer.concat([...blocks, END]))[0]?.header).toMatchObject(expected);
  });

  it.each<[string, Buffer, RegExp]>([
    ['a wrong checksum', Buffer.concat([header('n', 0).fill('y', 3, 4), END]), /checksum/],
    ['another format', header('n', 0, '0', { 257: 'zzzzz' }), /unknown format/],
    ['a size that is no number', header('n', 0, '0', { 124: '99999999999' }), /size/],
    ['a size below zero', Buffer.concat([member('x', record('size', '-1'), 'x'), header('n', 0)]), /size/],
    ['a size of a header below zero', header('n', 0, '0', { 124: Buffer.alloc(12, 0xff) }), /size/],
    ['a long header without end', header('n', 1e9, 'x'), /exceeds max size/],
    ['a long header of no valid size', header('n', 0, 'x', { 124: 'x' }), /size/],
    ['records that end too late', member('x', '99 path=x\n', 'x'), /extended header/],
    ['records without a length', member('x', 'path=x\n', 'x'), /extended header/],
    ['records of length 0', member('x', '0 path=x\n', 'x'), /extended header/],
    ['an end in a header', header('n', 0).subarray(0, 100), /Unexpected end/],
    ['an end in a content', Buffer.concat([header('n', 600), Buffer.alloc(512)]), /Unexpected end/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(TarError);
    expect(() => read(bytes, 100)).toThrow(message);
  });
});
