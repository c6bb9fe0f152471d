/** Requests that break their contracts: valid ones with something changed, and random bytes. */
import fc from 'fast-check';

export interface Mutant {
  readonly subject: string;
  readonly body: Buffer;
}

const ID = 'f'.repeat(32);
/** One valid body of each; none of them has an effect where there is no such image, container, rollout or host. */
const VALID: Readonly<Record<string, object>> = {
  // Its source does not exist, so that a build ends at once.
  'image.requested': { recipe: `name: fuzz\nfrom: { rootfs: { path: /nosuch.tar.gz, sha256: ${'a'.repeat(64)} } }\n` },
  'image.promotion.requested': { image: 'nosuch@v1' },
  'image.activation.requested': { image: 'nosuch@v1' },
  'image.revocation.requested': { image: 'nosuch@v1', reason: 'fuzz' },
  'image.retirement.requested': { image: 'nosuch@v1' },
  'container.requested': {
    name: 'fuzz',
    tenant: 'fuzz',
    image: 'nosuch@v1',
    strict: true,
    env: { A: 'b' },
    timezone: 'Europe/Vienna',
    limits: { memoryBytes: 8388608, cpus: 0.5, pids: 10 },
    command: ['/bin/true'],
    restart: { policy: 'always' },
    health: { exec: ['/bin/true'], intervalSeconds: 1 },
    network: 'container',
    ports: [{ container: 80, host: 8080, protocol: 'tcp', address: '192.0.2.1' }, { container: 53 }],
    egress: { policy: 'list', to: [{ network: '10.0.0.0/8', protocol: 'tcp', ports: ['443', '8000-8100'] }] },
  },
  'container.stop.requested': { name: 'nosuch' },
  'container.start.requested': { id: ID },
  'container.restart.requested': { name: 'nosuch', tenant: 'fuzz' },
  'container.remove.requested': { name: 'nosuch', keepData: true },
  'container.update.requested': { name: 'nosuch', to: 'nosuch@v2', soakSeconds: 1 },
  'rollout.requested': { to: 'nosuch@v2', select: { tenants: ['nosuch'] }, batch: { count: 1 } },
  'rollout.pause.requested': { rolloutId: ID },
  'rollout.resume.requested': { rolloutId: ID },
  'rollout.abort.requested': { rolloutId: ID },
  'rollout.revert.requested': { rolloutId: ID },
  'rollout.approval.requested': { rolloutId: ID },
  'host.cordon.requested': { host: 'nosuch' },
  'host.uncordon.requested': { host: 'nosuch' },
  'host.drain.requested': { host: 'nosuch', parallel: 1 },
  'rebalance.requested': { datacenter: 'nosuch', tenant: 'fuzz', thresholdPercent: 20, maxMoves: 1, atOnce: 1 },
  'rebalance.cancel.requested': { rebalanceId: ID },
};

const HOSTILE: readonly unknown[] = [
  null,
  '',
  ' ',
  '.',
  '..',
  '../../etc',
  'a/b',
  'x'.repeat(5_000),
  'a'.repeat(50_000),
  'A B',
  '$JS',
  '>',
  '*',
  'é',
  '\u202e',
  '\u0000',
  '\n',
  '%s',
  '${x}',
  "'; DROP TABLE containers; --",
  '__proto__',
  'constructor',
  0,
  -1,
  0.5,
  1e18,
  1e308,
  -0,
  2 ** 53 + 2,
  true,
  [],
  [[]],
  {},
  { a: { a: { a: {} } } },
  Array.from({ length: 2_000 }, () => 0),
  { __proto__x: 1 },
];
const KEYS: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  'hasOwnProperty',
  'unknown',
  '',
  'name ',
  'Name',
];

const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

/** A place in the body: itself or a value in it. */
function places(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (value === null || typeof value !== 'object') return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

function withChange(value: unknown, [key, ...rest]: readonly string[], change: (inner: unknown) => unknown): unknown {
  if (key === undefined) return change(value);
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = withChange(copy[key], rest, change);
  return copy;
}

const mutated = fc.constantFrom(...Object.entries(VALID)).chain(([subject, body]) => {
  const place = fc.constantFrom(...places(body));
  const text = JSON.stringify(body);
  const changes: fc.Arbitrary<Buffer>[] = [
    fc
      .tuple(place, fc.constantFrom(...HOSTILE))
      .map(([path, hostile]) => Buffer.from(JSON.stringify(withChange(body, path, () => hostile)) ?? '')),
    fc
      .tuple(place, fc.jsonValue())
      .map(([path, any]) => Buffer.from(JSON.stringify(withChange(body, path, () => any)))),
    fc
      .tuple(fc.constantFrom(...KEYS), fc.constantFrom(...HOSTILE))
      .map(([key, hostile]) => Buffer.from(`${text.slice(0, -1)},${JSON.stringify(key)}:${JSON.stringify(hostile)}}`)),
    fc.nat(text.length - 1).map((length) => Buffer.from(text.slice(0, length))),
    fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 0, max: 255 })).map(([at, byte]) => {
      const bytes = Buffer.from(text);
      bytes[at] = byte;
      return bytes;
    }),
    fc.constant(Buffer.from(`${text.slice(0, -1)},${text.slice(1)}`)),
  ];
  return fc.oneof(...changes).map((bytes): Mutant => ({ subject, body: bytes }));
});

const raw = fc
  .tuple(
    fc.constantFrom(...Object.keys(VALID)),
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(text)),
      fc
        .constantFrom(
          '',
          ' ',
          'null',
          '0',
          '"x"',
          '[]',
          '{}',
          '[1,2',
          '{"a":1}{"b":2}',
          '\ufeff{}',
          nested(500),
          nested(20_000),
          `[${'0,'.repeat(20_000)}0]`,
        )
        .map((text) => Buffer.from(text)),
    ),
  )
  .map(([subject, body]): Mutant => ({ subject, body }));

/** The same seed gives the same ones. */
export function mutants(seed: number, count: number): Mutant[] {
  return fc.sample(fc.oneof({ weight: 4, arbitrary: mutated }, { weight: 1, arbitrary: raw }), {
    seed,
    numRuns: count,
  });
}
