/**
 * Depends on: libseccomp 2.5 (`libseccomp.so.2`, which crun and runc need too): its functions, the numbers of its actions
 * and comparisons, the layout of scmp_arg_cmp, and memfd_create(2). Seen with libseccomp 2.5.4.
 * Noticed by: oci-runtime.int-spec.ts, "a custom mount script": what the compiled filter refuses.
 * Instead: SeccompError; a custom mount script is not run without its filter.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { bindCall, lastErrno, openLibrary, SystemCallError } from '@plinth/host-os';
import type { SeccompProfile, SeccompRule } from '../spec/seccomp-profile.js';

/** seccomp.h */
const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
const COMPARISONS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};
const COMPARISON_BYTES = 24;
/** Of calls that this library or this architecture does not have. */
const UNKNOWN = -1;
/** linux/memfd.h */
const MFD_CLOEXEC = 1;

/** The machine has no libseccomp, or the library refused a rule. */
export class SeccompError extends Error {
  override readonly name = 'SeccompError';
}

/**
 * An array of the kernel's sock_filter for this machine's architecture. Takes some milliseconds.
 * @throws SeccompError
 */
export function compileSeccomp(profile: SeccompProfile): Buffer {
  const library = openLibrary('libseccomp.so.2');
  if (typeof library === 'string') throw new SeccompError(`libseccomp2 is needed: ${library}`);
  const init = library.bind<unknown>('void *seccomp_init(uint32_t action)');
  const release = library.bind<unknown>('void seccomp_release(void *context)');
  const resolve = library.bind<number>('int seccomp_syscall_resolve_name(const char *name)');
  const add = library.bind<number>(
    'int seccomp_rule_add_array(void *context, uint32_t action, int syscall, unsigned int count, const void *arguments)',
  );
  const write = library.bind<number>('int seccomp_export_bpf(void *context, int fd)');
  const standard = ERRNO | profile.defaultErrnoRet;
  const context = init(standard);
  if (context === null) throw new SeccompError('seccomp_init failed');
  try {
    for (const rule of profile.syscalls) {
      const action = rule.action === 'SCMP_ACT_ALLOW' ? ALLOW : ERRNO | (rule.errnoRet ?? 1);
      // The library refuses a rule that says what holds without it.
      if (action === standard) continue;
      const conditions = argumentsOf(rule);
      for (const name of rule.names) {
        const number = resolve(name);
        if (number === UNKNOWN) continue;
        const code = add(context, action, number, conditions.length / COMPARISON_BYTES, conditions);
        if (code !== 0) throw new SeccompError(`the rule for ${name} was refused with ${code}`);
      }
    }
    return exported((descriptor) => write(context, descriptor));
  } finally {
    release(context);
  }
}

function argumentsOf({ args = [] }: SeccompRule): Buffer {
  const packed = Buffer.alloc(args.length * COMPARISON_BYTES);
  for (const [at, { index, op, value, valueTwo = 0 }] of args.entries()) {
    const comparison = COMPARISONS[op];
    if (comparison === undefined) throw new SeccompError(`${op} is no comparison`);
    packed.writeUInt32LE(index, at * COMPARISON_BYTES);
    packed.writeUInt32LE(comparison, at * COMPARISON_BYTES + 4);
    packed.writeBigUInt64LE(BigInt(value), at * COMPARISON_BYTES + 8);
    packed.writeBigUInt64LE(BigInt(valueTwo), at * COMPARISON_BYTES + 16);
  }
  return packed;
}

function exported(write: (descriptor: number) => number): Buffer {
  const descriptor = bindCall('int memfd_create(const char *name, unsigned int flags)')('seccomp', MFD_CLOEXEC);
  if (descriptor < 0) throw new SystemCallError('memfd_create', lastErrno());
  try {
    const code = write(descriptor);
    if (code !== 0) throw new SeccompError(`seccomp_export_bpf failed with ${code}`);
    const program = Buffer.alloc(fstatSync(descriptor).size);
    readSync(descriptor, program, 0, program.length, 0);
    return program;
  } finally {
    closeSync(descriptor);
  }
}
