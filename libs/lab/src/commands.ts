/** The argument lists that make a lab's namespaces and enter them: pure. */

/**
 * Moves itself into the cgroups that are named before `--`, then becomes the command: what it starts is in them from its
 * first moment. Nothing is ever put into this text.
 */
const JOIN = 'until [ "$1" = -- ]; do echo 0 >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"';

/**
 * First process of a lab and of each machine. It ignores the end of its children, so that the kernel reaps what is
 * orphaned; when it ends, the kernel ends everything in its process namespace.
 */
const FIRST_PROCESS = ['env', '--ignore-signal=CHLD', 'sleep', 'infinity'];

const NAMESPACES = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup'];

/** The lab: a network with a bridge, and mounts that no other process of this machine sees. */
export function labCommand(life: 'background' | 'bound'): readonly string[] {
  const bound = life === 'bound' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
  return [...bound, 'unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', ...FIRST_PROCESS];
}

/** @param lab the pid of its first process @param groups directories of its cgroups */
export function machineCommand(lab: number, groups: readonly string[]): readonly string[] {
  return [
    ...enter(lab, ['--net', '--mount', '--pid']),
    ...join(groups),
    'unshare',
    ...NAMESPACES,
    '--fork',
    '--kill-child',
    ...FIRST_PROCESS,
  ];
}

/** A command that sees the lab's mounts; mount(8) reads its own process there. */
export function amongDisks(lab: number, argv: readonly string[]): readonly string[] {
  return [...enter(lab, ['--mount', '--pid']), ...argv];
}

/** A command on the lab's bridge; it counts processes as this machine does. */
export function onBridge(lab: number, argv: readonly string[]): readonly string[] {
  return [...enter(lab, ['--net']), ...argv];
}

/** A command in a machine that has no file systems of its own yet; it is counted elsewhere. */
export function besideMachine(first: number, argv: readonly string[]): readonly string[] {
  return [...enter(first, NAMESPACES), ...argv];
}

/**
 * A command in a machine. nsenter(1) changes what it sees, not where it is counted: so the cgroups are joined first.
 * @param first the pid of the machine's first process
 */
export function inMachine(first: number, groups: readonly string[], argv: readonly string[]): readonly string[] {
  return [...join(groups), ...enter(first, NAMESPACES), ...argv];
}

const join = (groups: readonly string[]): string[] => ['sh', '-c', JOIN, 'plinth-lab', ...groups, '--'];

const enter = (pid: number, namespaces: readonly string[]): string[] => [
  'nsenter',
  '--target',
  String(pid),
  ...namespaces,
  '--',
];
