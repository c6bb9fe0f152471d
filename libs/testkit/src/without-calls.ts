/** A kernel that lacks a feature, as one program and what it starts see it: the system calls of that feature fail. */
import { constants } from 'node:os';

/** A system call that fails; with `arguments`, only calls of which each condition holds. */
export interface RefusedCall {
  readonly call: keyof typeof NUMBERS;
  readonly error: keyof typeof constants.errno;
  /** Of the lower 32 bits of an argument: one of the bits is set, or it has that value. */
  readonly when?: readonly ({ readonly at: number } & ({ readonly has: number } | { readonly is: number }))[];
}

/** asm/unistd.h of x86-64 and arm64; those above 400 are the same everywhere. */
const NUMBERS = {
  clone: [56, 220],
  clone3: [435, 435],
  fsopen: [430, 430],
  ioctl: [16, 29],
  lsetxattr: [189, 6],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  open_tree: [428, 428],
  openat2: [437, 437],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  prctl: [157, 167],
  quotactl: [179, 60],
  seccomp: [317, 277],
  setns: [308, 268],
  socket: [41, 198],
  unshare: [272, 97],
} as const;

/** linux/filter.h, linux/seccomp.h: struct seccomp_data is number, architecture, instruction, six arguments. */
const LOAD = 0x20;
const IF_EQUAL = 0x15;
const IF_ANY_BIT = 0x45;
const RETURN = 0x06;
const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
const FIRST_ARGUMENT = 16;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;

type Instruction = readonly [code: number, ifSo: number, ifNot: number, operand: number];

const LAUNCHER = String.raw`my ($prctl, $filter, @command) = @ARGV;
my $rules = pack 'H*', $filter;
my $program = pack 'S x![P] P', length($rules) / 8, $rules;
syscall($prctl + 0, ${PR_SET_SECCOMP}, ${SECCOMP_MODE_FILTER}, $program, 0, 0) == 0 or die "seccomp: $!\n";
exec { $command[0] } @command or die "$command[0]: $!\n";
`;

/** Program and arguments that come before a program's: it, and what it starts, is refused these calls. Needs root. */
export function withoutCalls(refused: readonly RefusedCall[]): [string, ...string[]] {
  const filter = [...refused.flatMap(ruleFor), [RETURN, 0, 0, ALLOW] as const];
  const packed = Buffer.alloc(filter.length * 8);
  for (const [index, [code, ifSo, ifNot, operand]] of filter.entries()) {
    packed.writeUInt16LE(code, index * 8);
    packed.writeUInt8(ifSo, index * 8 + 2);
    packed.writeUInt8(ifNot, index * 8 + 3);
    packed.writeUInt32LE(operand, index * 8 + 4);
  }
  return ['/usr/bin/perl', '-e', LAUNCHER, String(numberOf('prctl')), packed.toString('hex')];
}

/** Falls through to the next rule when a condition does not hold. */
function ruleFor({ call, error, when = [] }: RefusedCall): Instruction[] {
  const tests: Instruction[][] = [
    [
      [LOAD, 0, 0, 0],
      [IF_EQUAL, 0, 1, numberOf(call)],
    ],
    ...when.map((condition): Instruction[] => [
      [LOAD, 0, 0, FIRST_ARGUMENT + 8 * condition.at],
      'has' in condition ? [IF_ANY_BIT, 0, 1, condition.has] : [IF_EQUAL, 0, 1, condition.is],
    ]),
  ];
  const last: Instruction = [RETURN, 0, 0, ERRNO | constants.errno[error]];
  return [
    ...tests.flatMap(([load, test], index) => {
      if (load === undefined || test === undefined) return [];
      const [code, ifSo, , operand] = test;
      return [load, [code, ifSo, 2 * (tests.length - 1 - index) + 1, operand] as const];
    }),
    last,
  ];
}

function numberOf(call: keyof typeof NUMBERS): number {
  const [x64, arm64] = NUMBERS[call];
  return process.arch === 'arm64' ? arm64 : x64;
}
