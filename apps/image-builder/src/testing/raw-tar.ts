/** Writes tar members that libraries refuse to: the name, type and size of each are taken as they are given. */

export interface RawMember {
  readonly name: string | Buffer;
  /** ustar type flag: `0` file, `1` hard link, `2` symlink, `3` character device, `5` directory, `6` fifo. */
  readonly type?: string;
  readonly content?: string | Buffer;
  readonly link?: string;
  readonly uid?: number;
  readonly mode?: number;
  /** Values of the extended header, as bytes. */
  readonly pax?: Readonly<Record<string, Buffer>>;
}

export function rawTar(members: readonly RawMember[]): Buffer {
  return Buffer.concat([...members.flatMap((member) => [...paxOf(member), memberOf(member)]), Buffer.alloc(1024)]);
}

function paxOf({ pax }: RawMember): Buffer[] {
  if (!pax) return [];
  const records = Object.entries(pax).map(([keyword, value]) => {
    const rest = Buffer.concat([Buffer.from(` ${keyword}=`), value, Buffer.from('\n')]);
    // The length counts its own digits.
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  return [memberOf({ name: 'PaxHeader', type: 'x', content: Buffer.concat(records) })];
}

function memberOf({ name, type = '0', content = '', link = '', uid = 0, mode = 0o644 }: RawMember): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, at: number, width: number): void =>
    void header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
  if (typeof name === 'string') header.write(name, 0, 100, 'utf8');
  else name.copy(header, 0, 0, 100);
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(0, 116, 8);
  octal(Buffer.byteLength(content), 124, 12);
  octal(1_600_000_000, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  header.write(link, 157, 100, 'utf8');
  header.write('ustar\0', 257, 'latin1');
  header.write('00', 263, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
  body.set(typeof content === 'string' ? Buffer.from(content) : content);
  return Buffer.concat([header, body]);
}
