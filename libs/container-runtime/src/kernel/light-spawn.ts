/**
 * Depends on: posix_spawn(3) of glibc, which lends the child the parent's memory until its exec (CLONE_VFORK), its
 * `_addchdir_np` (2.29 and later), that its structs fit into 512 bytes and that a sigset_t is a plain set of bits.
 * Seen with glibc 2.36 on x86-64.
 * Noticed by: light-spawn.int-spec.ts: environment, descriptors, signals and reaping of what is started.
 * Instead: nothing at run time; SpawnError names the step. Node's own spawn() does the same, some 5 ms later.
 */
import { bindCall, type BoundCall, lastErrno, SystemCallError } from '@plinth/host-os';

/** fcntl.h, spawn.h */
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_CLOEXEC = 0o2000000;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** sys/wait.h */
const WNOHANG = 1;
/** More than posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t take on any architecture. */
const STRUCT_BYTES = 512;

export interface LightSpawn {
  /** Absolute path of the program. */
  readonly file: string;
  readonly argv: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Our ends of two pipes: the caller reads and closes them. */
export interface LightProcess {
  readonly stderr: number;
  /** The other end is the program's descriptor 3. */
  readonly third: number;
}

/** As {@link LightProcess}, of a program that may take its time. */
export interface LightCommand {
  readonly pid: number;
  /** Our end of the pipe that the program has as standard output and standard error. */
  readonly output: number;
  /**
   * Our end of a pipe whose other end is the program's descriptor 3, which nothing is written to: it ends with the
   * program.
   */
  readonly life: number;
}

/** The kernel refused a step of starting a program. */
export class SpawnError extends SystemCallError {
  override readonly name = 'SpawnError';
}

let bound:
  | Readonly<
      Record<
        | 'pipe2'
        | 'close'
        | 'waitpid'
        | 'init'
        | 'open'
        | 'dup2'
        | 'chdir'
        | 'destroy'
        | 'attrInit'
        | 'attrFlags'
        | 'attrDefault'
        | 'attrMask'
        | 'spawn',
        BoundCall
      >
    >
  | undefined;

function libc(): NonNullable<typeof bound> {
  if (bound !== undefined) return bound;
  const actions = 'posix_spawn_file_actions';
  bound = {
    pipe2: bindCall('int pipe2(void *ends, int flags)'),
    close: bindCall('int close(int fd)'),
    waitpid: bindCall('int waitpid(int pid, void *status, int options)'),
    init: bindCall(`int ${actions}_init(void *actions)`),
    open: bindCall(`int ${actions}_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)`),
    dup2: bindCall(`int ${actions}_adddup2(void *actions, int fd, int as)`),
    chdir: bindCall(`int ${actions}_addchdir_np(void *actions, const char *path)`),
    destroy: bindCall(`int ${actions}_destroy(void *actions)`),
    attrInit: bindCall('int posix_spawnattr_init(void *attributes)'),
    attrFlags: bindCall('int posix_spawnattr_setflags(void *attributes, short flags)'),
    attrDefault: bindCall('int posix_spawnattr_setsigdefault(void *attributes, const void *signals)'),
    attrMask: bindCall('int posix_spawnattr_setsigmask(void *attributes, const void *signals)'),
    spawn: bindCall(
      'int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)',
    ),
  };
  return bound;
}

/**
 * Starts a program without copying this process. Node starts programs by fork(2), which copies the page tables: in a
 * service of 100 MB some 5 ms in which it stands still. posix_spawn(3) lends them to the child until its exec.
 *
 * The program gets /dev/null as standard input and output, `/` as working directory, every signal at its default, and
 * no other descriptor of ours. It is reaped here.
 * @throws SpawnError
 */
export function lightSpawn({ file, argv, env }: LightSpawn): LightProcess {
  const { close } = libc();
  const errors = pipe();
  let third: Pipe | undefined;
  try {
    third = pipe();
    reap(spawn(file, [file, ...argv], env, errors.write, third.write));
    return { stderr: errors.read, third: third.read };
  } catch (error) {
    for (const end of [errors.read, third?.read]) if (end !== undefined) close(end);
    throw error;
  } finally {
    for (const end of [errors.write, third?.write]) if (end !== undefined) close(end);
  }
}

/** As {@link lightSpawn}, but it is not reaped here: ask {@link endOf} when `life` has ended. @throws SpawnError */
export function lightCommand({ file, argv, env }: LightSpawn): LightCommand {
  const { close } = libc();
  const output = pipe();
  let life: Pipe | undefined;
  try {
    life = pipe();
    const pid = spawn(file, [file, ...argv], env, output.write, life.write, true);
    return { pid, output: output.read, life: life.read };
  } catch (error) {
    for (const end of [output.read, life?.read]) if (end !== undefined) close(end);
    throw error;
  } finally {
    for (const end of [output.write, life?.write]) if (end !== undefined) close(end);
  }
}

/**
 * waitpid(2) without waiting; reaps a child that has ended.
 * @returns its exit code, 128 + n when signal n ended it; undefined: it has not ended
 */
export function endOf(pid: number): number | undefined {
  const status = new Int32Array(1);
  const found = libc().waitpid(pid, status, WNOHANG);
  if (found === 0) return undefined;
  if (found < 0) throw new SpawnError(`waitpid ${pid}`, lastErrno());
  const [word = 0] = status;
  return (word & 0x7f) === 0 ? (word >> 8) & 0xff : 128 + (word & 0x7f);
}

function spawn(
  file: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  stderr: number,
  third: number,
  withOutput = false,
): number {
  const c = libc();
  const actions = Buffer.alloc(STRUCT_BYTES);
  check('posix_spawn_file_actions_init', c.init(actions));
  try {
    check(
      'posix_spawn_file_actions_addopen',
      c.open(actions, 0, '/dev/null', O_RDONLY, 0) ||
        (withOutput ? c.dup2(actions, stderr, 1) : c.open(actions, 1, '/dev/null', O_WRONLY, 0)),
    );
    check('posix_spawn_file_actions_adddup2', c.dup2(actions, stderr, 2) || c.dup2(actions, third, 3));
    check('posix_spawn_file_actions_addchdir_np', c.chdir(actions, '/'));
    const pid = new Int32Array(1);
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    check(`posix_spawn ${file}`, c.spawn(pid, file, actions, attributes(), [...argv, null], [...variables, null]));
    return pid[0] ?? 0;
  } finally {
    c.destroy(actions);
  }
}

/** Node has signals ignored and blocked that a program expects at their default. */
function attributes(): Buffer {
  const c = libc();
  const made = Buffer.alloc(STRUCT_BYTES);
  check('posix_spawnattr_init', c.attrInit(made) || c.attrFlags(made, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
  // A sigset_t is a bit for each signal. sigfillset(3) would leave out the two that the C library keeps for itself, and
  // those would be ignored.
  check('posix_spawnattr_setsigdefault', c.attrDefault(made, Buffer.alloc(STRUCT_BYTES, 0xff)));
  check('posix_spawnattr_setsigmask', c.attrMask(made, Buffer.alloc(STRUCT_BYTES)));
  return made;
}

interface Pipe {
  readonly read: number;
  readonly write: number;
}

function pipe(): Pipe {
  const ends = new Int32Array(2);
  if (libc().pipe2(ends, O_CLOEXEC) !== 0) throw new SpawnError('pipe2', lastErrno());
  const [read = 0, write = 0] = ends;
  return { read, write };
}

/** Reaps in the thread pool: for programs that end, or put themselves into the background, soon. */
function reap(pid: number): void {
  // Its exit code is not needed: its output comes through its pipes.
  libc().waitpid.async(pid, null, 0, () => undefined);
}

function check(step: string, errno: number): void {
  if (errno !== 0) throw new SpawnError(step, errno);
}
