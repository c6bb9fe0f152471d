import { describe, expect, it } from '@jest/globals';
import dnsPacket, { type Answer, type Packet } from 'dns-packet';
import { AnswerCache, type Asked } from './answer-cache.js';
import { type Query, readQuery } from './message.js';

function asked(name: string, change: Partial<Packet> = {}, group = 'acme'): Asked & { readonly query: Query } {
  const read = readQuery(
    dnsPacket.encode({ type: 'query', id: 7, flags: 0x100, questions: [{ name, type: 'A' }], ...change }),
  );
  if (read.kind !== 'query') throw new Error(read.kind);
  return { group, query: read.query, transport: 'udp', servers: ['192.0.2.53'] };
}

const address = (ttl: number, name = 'www.example.com'): Answer => ({ type: 'A', name, ttl, data: '198.51.100.1' });
const soa = (ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name: 'example.com',
  ttl,
  data: { mname: 'a.example', rname: 'b.example', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});

function answer(answers: readonly Answer[], change: Partial<Packet> = {}, name = 'www.example.com'): Buffer {
  return dnsPacket.encode({
    type: 'response',
    id: 99,
    flags: 0x0480,
    questions: [{ name, type: 'A' }],
    answers: [...answers],
    ...change,
  });
}

describe('an answer', () => {
  it('is that of the asker, with what is left of its TTL, until that has run out', () => {
    const cache = new AnswerCache();
    cache.put(asked('www.example.com'), answer([address(60)]), 1_000);
    const query = asked('WWW.example.COM', { id: 4711 });
    const found = cache.get(query, 11_999);
    const packet = dnsPacket.decode(found ?? Buffer.alloc(12));
    expect(packet).toMatchObject({
      id: 4711,
      questions: [{ name: 'WWW.example.COM' }],
      answers: [{ ttl: 50, data: '198.51.100.1' }],
      flag_aa: false,
    });
    expect(cache.get(query, 60_999)).toBeDefined();
    expect(cache.get(query, 61_000)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  it.each<[string, Asked]>([
    ['of another tenant', asked('www.example.com', {}, 'other')],
    ['by TCP', { ...asked('www.example.com'), transport: 'tcp' }],
    ['of other servers', { ...asked('www.example.com'), servers: ['192.0.2.54'] }],
    ['without recursion', asked('www.example.com', { flags: 0 })],
    ['of another type', asked('www.example.com', { questions: [{ name: 'www.example.com', type: 'AAAA' }] })],
    [
      'with a cookie',
      asked('www.example.com', {
        additionals: [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [{ code: 10, data: Buffer.alloc(8) }],
          } as never,
        ],
      }),
    ],
  ])('is not that of one %s', (_what, other) => {
    const cache = new AnswerCache();
    cache.put(asked('www.example.com'), answer([address(60)]), 0);
    cache.put({ ...other, group: 'x' }, answer([address(60)]), 0);
    expect(cache.get(other, 1)).toBeUndefined();
  });

  it.each<[string, Buffer, number]>([
    ['by the least TTL', answer([address(60), address(20)]), 20],
    ['for five minutes at most', answer([address(86_400)]), 300],
    ['not with a TTL of 0', answer([address(0)]), 0],
    ['not when it is cut', answer([], { flags: 0x0200 }), 0],
    ['not a failure', answer([], { flags: 2 }), 0],
    ['as long as it is known that there is none', answer([], { flags: 3, authorities: [soa(60, 10)] }), 10],
    ['half a minute at most when there is none', answer([], { authorities: [soa(3_600, 3_600)] }), 30],
    [
      'not a referral',
      answer([], { authorities: [{ type: 'NS', name: 'example.com', ttl: 60, data: 'a.example' }] }),
      0,
    ],
    ['not when it ends too early', answer([address(60)]).subarray(0, -3), 0],
    [
      'not with fields that lead nowhere',
      Buffer.concat([answer([address(60)]).subarray(0, -14), Buffer.alloc(14, 0x80)]),
      0,
    ],
  ])('is kept %s', (_what, bytes, seconds) => {
    const cache = new AnswerCache();
    const query = asked('www.example.com');
    cache.put(query, bytes, 0);
    expect(cache.get(query, seconds * 1000 - 1) !== undefined).toBe(seconds > 0);
    expect(cache.get(query, seconds * 1000)).toBeUndefined();
  });

  it('of a tenant gives way to its own later ones, and those of others stay', () => {
    const cache = new AnswerCache();
    const put = (name: string, group: string): void =>
      cache.put(asked(name, {}, group), answer([address(60, name)], {}, name), 0);
    put('first.example.com', 'quiet');
    for (let tenant = 0; tenant < 10; tenant += 1)
      for (let index = 0; index < 600; index += 1) put(`n${index}.example.com`, `flood-${tenant}`);
    expect(cache.size).toBe(4_096);
    expect(cache.get(asked('first.example.com', {}, 'quiet'), 1)).toBeDefined();
    expect(cache.get(asked('n599.example.com', {}, 'flood-9'), 1)).toBeDefined();
    expect(cache.get(asked('n0.example.com', {}, 'flood-9'), 1)).toBeUndefined();
  });
});
