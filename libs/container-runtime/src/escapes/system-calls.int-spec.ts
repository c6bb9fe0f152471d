/** What a process in a container tries by system calls and files of the kernel. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Attempts, EscapeBench } from './testing/escape-bench.js';

interface Row {
  readonly probe: string;
  readonly escapes: string;
  /** Error of an attempt that is not EPERM. */
  readonly otherwise?: Attempts;
}

const ROWS: readonly Row[] = [
  {
    probe: 'namespaces',
    escapes: 'namespaces, mounts, an exchanged mount point',
    // Its flags are behind a pointer, which no filter can read.
    otherwise: { 'clone3 into a user namespace': 'ENOSYS' },
  },
  { probe: 'devices', escapes: 'devices, files by their handle' },
  {
    probe: 'kernel-doors',
    escapes: 'BPF, io_uring, keys, modules, the state of the page cache and others',
    otherwise: { 'a read that does not wait': 'ENOTSUP' },
  },
  {
    probe: 'disk-limits',
    escapes: 'subvolumes outside of the limit of the disk',
    otherwise: Object.fromEntries(
      [
        ...['subvolume', 'subvolume, second form', 'snapshot', 'snapshot, second form'],
        ...['subvolume, high bits', 'subvolume, another size'],
      ].map((name) => [name, 'ENOTTY']),
    ),
  },
  { probe: 'sockets', escapes: 'kinds of sockets and options that lead into the kernel' },
];

let bench: EscapeBench;
let before: unknown;

beforeAll(async () => {
  bench = await EscapeBench.open();
  before = bench.hostState();
});

afterAll(() => bench.close());

describe.each(['own', 'host'] as const)('a container with the %s users', (users) => {
  let id: string;

  beforeAll(async () => {
    id = await bench.started({ users });
  });

  it.each(ROWS)('is refused: $escapes', async ({ probe, otherwise = {} }) => {
    const found = await bench.inside(id, probe);
    const refused = Object.fromEntries(Object.keys(found).map((name) => [name, otherwise[name] ?? 'EPERM']));
    expect(found).toEqual(refused);
    expect(bench.hostState()).toEqual(before);
  });

  it('may do what ordinary programs do', async () => {
    const found = await bench.inside(id, 'ordinary-programs');
    expect(Object.entries(found).filter(([, result]) => result !== 'succeeded')).toEqual([]);
  });
});

describe("the host's root outside of a container", () => {
  it('gets another answer to subvolumes', () => {
    expect(new Set(Object.values(bench.outside('disk-limits')))).toEqual(new Set(['EBADF']));
  });

  it.each(ROWS.filter(({ probe }) => probe !== 'disk-limits'))('is not refused: $escapes', ({ probe }) => {
    const found = bench.outside(probe);
    // What this kernel was built without has other errors.
    expect(Object.entries(found).filter(([, result]) => result === 'EPERM')).toEqual([]);
    expect(Object.values(found)).toContain('succeeded');
  });
});
