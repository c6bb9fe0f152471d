import { describe, expect, it } from '@jest/globals';
import dnsPacket, { type Packet } from 'dns-packet';
import { decide } from './answers.js';
import { payloadLimit, type Query, RCODE, readQuery, replyBytes } from './message.js';
import { type Viewer, Zones } from './zones.js';

const DOMAIN = 'plinth.internal';
const HEADER = {
  domain: DOMAIN,
  pools: ['10.64.0.0/10', 'fd00:706c:696e::/64'],
  resolvConf: '/etc/resolv.conf',
  program: '/name-resolver.js',
  builtAtMs: 1,
};
const OPERATOR: Viewer = { kind: 'operator' };
const container = (tenant: string, forwards = true): Viewer => ({
  kind: 'container',
  tenant,
  domain: DOMAIN,
  forwards,
});

const zones = new Zones();
zones.begin('a', HEADER);
let last = 0;
function add(name: string, tenant: string, local = true, source = 'a'): string {
  last += 1;
  const id = last.toString(16).padStart(32, '0');
  const ipv4 = `10.64.0.${last}`;
  const ipv6 = `fd00:706c:696e::a40:${last.toString(16)}`;
  zones.change(source, { kind: 'set', container: { id, name, tenant, ipv4, ipv6, local, forwards: true } });
  return id;
}
const LONG = 'n'.repeat(63);
add('shop-1', 'acme');
add('db', 'other');
add(LONG, 'acme', false);
zones.begin('b', { ...HEADER, domain: 'no-ipv6.internal', hasIpv6: false });
add('shop-1', 'acme', true, 'b');

function queryOf(name: string, type: string, packet: Partial<Packet> = {}): Buffer {
  const question = { name, type, class: 'IN' } as never;
  return dnsPacket.encode({
    type: 'query',
    id: 7,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [question],
    ...packet,
  });
}

function read(bytes: Buffer): Query {
  const found = readQuery(bytes);
  if (found.kind !== 'query') throw new Error(`no query, but ${found.kind}`);
  return found.query;
}

/** In short: a status, and the data of all answers. */
function asked(viewer: Viewer, name: string, type: string): string {
  const query = read(queryOf(name, type));
  const decision = decide(query, viewer, zones);
  if (decision.kind === 'forward') return 'forward';
  const packet = dnsPacket.decode(replyBytes(query, decision.reply, 'udp'));
  expect(packet.questions).toEqual([expect.objectContaining({ name })]);
  expect(packet.id).toBe(7);
  const negative = (packet.authorities ?? []).map(({ type: kind }) => kind).join();
  const data = (packet.answers ?? []).map((answer) => ('data' in answer ? String(answer.data) : ''));
  return [(packet as unknown as { rcode: string }).rcode, ...data, negative].filter((part) => part !== '').join(' ');
}

describe('a name', () => {
  const reverse6 = '1.0.0.0.0.4.a.0.0.0.0.0.0.0.0.0.0.0.0.0.e.6.9.6.c.6.0.7.0.0.d.f.ip6.arpa';
  it.each<[string, Viewer, string, string, string]>([
    ['of the same tenant', container('acme'), 'shop-1.acme.plinth.internal', 'A', 'NOERROR 10.64.0.1'],
    ['by IPv6', container('acme'), 'shop-1.acme.plinth.internal', 'AAAA', 'NOERROR fd00:706c:696e::a40:1'],
    ['by IPv6, where there is none', OPERATOR, 'shop-1.acme.no-ipv6.internal', 'AAAA', 'NOERROR SOA'],
    ['by any type, where there is none', OPERATOR, 'shop-1.acme.no-ipv6.internal', 'ANY', 'NOERROR 10.64.0.4'],
    ['in upper case', container('acme'), 'SHOP-1.Acme.PLINTH.internal', 'A', 'NOERROR 10.64.0.1'],
    ['of 63 characters, elsewhere', container('acme'), `${LONG}.acme.plinth.internal`, 'A', 'NOERROR 10.64.0.3'],
    ['by any type', container('acme'), 'shop-1.acme.plinth.internal', 'ANY', 'NOERROR 10.64.0.1 fd00:706c:696e::a40:1'],
    ['by another type', container('acme'), 'shop-1.acme.plinth.internal', 'MX', 'NOERROR SOA'],
    ['that is not there', container('acme'), 'nope.acme.plinth.internal', 'A', 'NXDOMAIN SOA'],
    ['below a container', container('acme'), 'www.shop-1.acme.plinth.internal', 'A', 'NXDOMAIN SOA'],
    ['of another tenant', container('acme'), 'db.other.plinth.internal', 'A', 'NXDOMAIN SOA'],
    ['of another tenant, for the host', OPERATOR, 'db.other.plinth.internal', 'A', 'NOERROR 10.64.0.2'],
    ['that is the own tenant', container('acme'), 'acme.plinth.internal', 'A', 'NOERROR SOA'],
    ['that is the own tenant, without names', container('empty'), 'empty.plinth.internal', 'A', 'NOERROR SOA'],
    ['that is another tenant', container('acme'), 'other.plinth.internal', 'A', 'NXDOMAIN SOA'],
    ['that is a tenant, for the host', OPERATOR, 'other.plinth.internal', 'A', 'NOERROR SOA'],
    ['that is no tenant, for the host', OPERATOR, 'nobody.plinth.internal', 'A', 'NXDOMAIN SOA'],
    ['that is the domain', container('acme'), DOMAIN, 'A', 'NOERROR SOA'],
    ['that is like the domain', container('acme'), 'notplinth.internal', 'A', 'forward'],
    ['of the outside', container('acme'), 'example.com', 'A', 'forward'],
    ['of the outside, for a container that may not', container('acme', false), 'example.com', 'A', 'REFUSED'],
    ['of the root', container('acme'), '.', 'NS', 'forward'],
    ['of an address', container('acme'), '1.0.64.10.in-addr.arpa', 'PTR', 'NOERROR shop-1.acme.plinth.internal'],
    ['of an IPv6 address', container('acme'), reverse6, 'PTR', 'NOERROR shop-1.acme.plinth.internal'],
    ['of an address by another type', container('acme'), '1.0.64.10.in-addr.arpa', 'A', 'NOERROR SOA'],
    ["of another tenant's address", container('acme'), '2.0.64.10.in-addr.arpa', 'PTR', 'NXDOMAIN SOA'],
    ['of an address without a container', OPERATOR, '99.0.64.10.in-addr.arpa', 'PTR', 'NXDOMAIN SOA'],
    ['of an address elsewhere', container('acme'), '1.2.0.192.in-addr.arpa', 'PTR', 'forward'],
  ])('%s', (_what, viewer, name, type, answer) => expect(asked(viewer, name, type)).toBe(answer));

  it('ends with its container, and of two containers the last one has it', () => {
    const first = add('web', 'acme');
    const second = add('web', 'acme');
    const name = 'web.acme.plinth.internal';
    expect(asked(OPERATOR, name, 'A')).toBe(`NOERROR 10.64.0.${last}`);
    zones.change('a', { kind: 'gone', id: second });
    expect(asked(OPERATOR, name, 'A')).toBe(`NOERROR 10.64.0.${last - 1}`);
    zones.change('a', { kind: 'gone', id: first });
    expect(asked(OPERATOR, name, 'A')).toBe('NXDOMAIN SOA');
  });

  it('of another agent of the machine is known, and ends with its file', () => {
    zones.begin('b', HEADER);
    add('far', 'acme', true, 'b');
    expect(asked(container('acme'), 'far.acme.plinth.internal', 'A')).toBe(`NOERROR 10.64.0.${last}`);
    zones.end('b');
    expect(asked(container('acme'), 'far.acme.plinth.internal', 'A')).toBe('NXDOMAIN SOA');
  });
});

describe('an asker', () => {
  it.each([
    ['10.64.0.1', { kind: 'container', tenant: 'acme', domain: DOMAIN, forwards: true }],
    ['10.64.0.3', undefined],
    ['192.0.2.1', undefined],
  ])('at %s', (address, viewer) => expect(zones.askerAt(address)).toEqual(viewer));
});

describe('EDNS', () => {
  const opt = (udpPayloadSize: number, ednsVersion = 0): Partial<Packet> => ({
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize, extendedRcode: 0, ednsVersion, flags: 0, flag_do: false, options: [] },
    ],
  });

  it.each([
    [undefined, 512],
    [100, 512],
    [1000, 1000],
    [4096, 1232],
  ])('a payload of %p is answered by at most %p bytes', (size, limit) =>
    expect(payloadLimit(read(queryOf('x.example', 'A', size === undefined ? {} : opt(size))))).toBe(limit),
  );

  it('of a version that is not known is reported, with ours', () => {
    const query = read(queryOf('shop-1.acme.plinth.internal', 'A', opt(1232, 1)));
    const decision = decide(query, OPERATOR, zones);
    expect(decision).toMatchObject({ kind: 'reply', reply: { rcode: RCODE.badVersion } });
    const bytes = replyBytes(query, { rcode: RCODE.badVersion }, 'udp');
    expect(dnsPacket.decode(bytes).additionals).toEqual([
      expect.objectContaining({ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }),
    ]);
  });

  it('an answer that is too long is cut, and whole by TCP', () => {
    const query = read(queryOf('shop-1.acme.plinth.internal', 'TXT'));
    const answers = [
      { type: 'TXT' as const, name: query.asked, data: Array.from({ length: 9 }, () => 'x'.repeat(99)) },
    ];
    const cut = dnsPacket.decode(replyBytes(query, { rcode: 0, answers }, 'udp'));
    expect([cut.flag_tc, cut.answers?.length]).toEqual([true, 0]);
    const whole = dnsPacket.decode(replyBytes(query, { rcode: 0, answers }, 'tcp'));
    expect([whole.flag_tc, whole.answers?.length]).toEqual([false, 1]);
  });
});

describe('a message', () => {
  const query = queryOf('shop-1.acme.plinth.internal', 'A');
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(query);
    change(bytes);
    return bytes;
  };
  const header = (...counts: number[]): Buffer => {
    const bytes = Buffer.alloc(12);
    counts.forEach((count, index) => bytes.writeUInt16BE(count, 4 + 2 * index));
    return bytes;
  };
  const tail = Buffer.from([0, 1, 0, 1]);
  const named = (...name: number[]): Buffer => Buffer.concat([header(1), Buffer.from(name), tail]);
  it.each<[string, Buffer, string]>([
    ['of no bytes', Buffer.alloc(0), 'drop'],
    ['of 11 bytes', Buffer.alloc(11), 'drop'],
    ['that is a response', changed((bytes) => bytes.writeUInt16BE(0x8180, 2)), 'drop'],
    ['of another kind', changed((bytes) => bytes.writeUInt16BE(0x2800, 2)), 'NOTIMP'],
    ['without a question', header(0), 'FORMERR'],
    ['with two questions', changed((bytes) => bytes.writeUInt16BE(2, 4)), 'FORMERR'],
    ['with an answer', changed((bytes) => bytes.writeUInt16BE(1, 6)), 'FORMERR'],
    ['with 65,535 records', changed((bytes) => bytes.writeUInt16BE(0xffff, 10)), 'FORMERR'],
    ['whose question is missing', header(1), 'FORMERR'],
    ['that is cut', query.subarray(0, query.length - 3), 'FORMERR'],
    ['whose label is longer than it', named(63, 97), 'FORMERR'],
    ['whose name points to itself', named(0xc0, 12), 'FORMERR'],
    ['whose name points into the header', named(0xc0, 0), 'FORMERR'],
    ['whose label is of no kind', named(0x80, 1), 'FORMERR'],
    ['whose name has 300 bytes', named(...Array.from({ length: 150 }, () => [1, 97]).flat(), 0), 'FORMERR'],
    ['whose name has a dot in a label', named(3, 97, 46, 98, 0), 'query'],
    ['whose name is no text', named(2, 0xff, 0xfe, 0), 'query'],
    ['that is right', query, 'query'],
  ])('%s', (_what, bytes, outcome) => {
    const found = readQuery(bytes);
    if (found.kind === 'reply')
      expect((dnsPacket.decode(found.bytes) as unknown as { rcode: string }).rcode).toBe(outcome);
    else expect(found.kind).toBe(outcome);
  });

  it('with a dot in a label is not taken for one of our names', () => {
    const label = Buffer.from('shop-1.acme');
    const bytes = Buffer.concat([
      header(1),
      Buffer.from([label.length]),
      label,
      Buffer.from('\u0006plinth\u0008internal\0'),
      tail,
    ]);
    expect(decide(read(bytes), container('acme'), zones)).toEqual({ kind: 'forward' });
  });

  it('of any bytes is read without an exception', () => {
    let seed = 1;
    const random = (): number => (seed = (seed * 48271) % 0x7fffffff);
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = Buffer.from(query);
      for (let change = random() % 6; change >= 0; change -= 1) bytes[random() % bytes.length] = random();
      expect(() => readQuery(bytes.subarray(0, random() % (bytes.length + 1)))).not.toThrow();
    }
  });
});
