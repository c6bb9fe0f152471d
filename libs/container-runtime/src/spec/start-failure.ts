/** Why a container did not start. A value, not an exception: a bad command or a full host is an ordinary event. */
export interface StartFailure {
  readonly ok: false;
  readonly reason: StartFailureReason;
  readonly message: string;
  /** The end of what the runtime printed. */
  readonly stderrTail: string;
}

export type StartFailureReason =
  | 'already-exists'
  | 'command-not-found'
  | 'command-not-executable'
  | 'mount-script-failed'
  | 'mount-script-mismatch'
  | 'mount-script-timeout'
  | 'mount-failed'
  | 'cgroup-failed'
  /** The machine's cgroups lack what a limit is held by. */
  | 'limit-not-held'
  | 'no-space'
  | 'deadline'
  | 'no-id-range'
  | 'user-namespace-failed'
  /** The caller refused to let the first process go. */
  | 'refused'
  | 'runtime-failed';

/** Tried in order; the runtimes have no error codes, only texts (crun 1.8, runc 1.1). */
const WORDS: readonly (readonly [StartFailureReason, RegExp])[] = [
  ['no-space', /no space left on device|disk quota exceeded/i],
  ['mount-script-failed', /createContainer|error executing hook|running hook|exec hook/i],
  ['command-not-executable', /(?:open|exec|find)\w*:? .*permission denied|exec format error|is a directory/i],
  [
    'command-not-found',
    /executable file (?:.* )?not found|(?:open|exec) executable|exec .*no such file|chdir|executable path/i,
  ],
  ['cgroup-failed', /cgroup|\bpids\.max|memory\.limit|sd-bus/i],
  ['mount-failed', /mount|devpts|rootfs|mask|open_tree/i],
];

/** Longest tail that is kept, characters. */
const TAIL = 2000;

/** Names the reason in a runtime's error text. Pure. */
export function startFailure(stderr: string): StartFailure {
  const reason = WORDS.find(([, words]) => words.test(stderr))?.[0] ?? 'runtime-failed';
  const last = withoutLogFormat(stderr.trim().split('\n').at(-1) ?? '');
  return {
    ok: false,
    reason,
    message: last.slice(-500) || 'the runtime failed without a message',
    stderrTail: stderr.slice(-TAIL),
  };
}

export function limitNotHeld({ limit, message }: { readonly limit: string; readonly message: string }): StartFailure {
  return {
    ...startFailure(''),
    reason: 'limit-not-held',
    message: `this machine can not hold its limit of ${limit}: ${message}`,
  };
}

export function scriptTimeout(seconds: number, stderr = ''): StartFailure {
  return {
    ...startFailure(stderr),
    reason: 'mount-script-timeout',
    message: `the mount script did not end within ${seconds} s`,
  };
}

/** runc's message is the last field of a log line: `time="…" level=error msg="…"`. */
function withoutLogFormat(line: string): string {
  const quoted = /^time="[^"]*" level=\w+ msg=("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
  if (quoted === undefined) return line;
  try {
    return JSON.parse(quoted) as string;
  } catch (error) {
    // Go quotes some characters as JSON does not.
    if (error instanceof SyntaxError) return quoted.slice(1, -1);
    throw error;
  }
}
