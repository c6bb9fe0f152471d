import { findRunLeftovers, type MachineState, type SeenCgroup, type SeenProcess } from './leftovers.js';

const RUN = 'c0ffee00c0ffee00';
const SELF = 100;
const CONTAINER = 'a'.repeat(32);
const NOTHING: MachineState = {
  processes: [],
  mounts: [],
  cgroups: [],
  interfaces: [],
  tables: [],
  runtimeState: [],
  files: [],
};

const seen = (pid: number, command: string, traces: readonly string[] = [], parent = 1): SeenProcess => ({
  pid,
  parent,
  command,
  traces,
});
const group = (name: string, ...pids: number[]): SeenCgroup => ({ path: `/sys/fs/cgroup/pids/${name}`, pids });
const found = (after: Partial<MachineState>, before: Partial<MachineState> = {}): string[] =>
  findRunLeftovers(RUN, { ...NOTHING, ...before }, { ...NOTHING, ...after }, SELF);

describe('findRunLeftovers', () => {
  const monitor = seen(7, `conmon --bundle /tmp/plinth-run-${RUN}/x`);
  const cases: readonly [string, Partial<MachineState>, readonly string[]][] = [
    ['nothing', {}, []],
    [
      'a process with the run in its command line',
      { processes: [monitor] },
      [`process 7: conmon --bundle /tmp/plinth-run-${RUN}/x`],
    ],
    [
      'one with the run in its environment',
      { processes: [seen(8, 'sleep infinity', [`PLINTH_TEST_RUN=${RUN}`])] },
      ['process 8: sleep infinity'],
    ],
    [
      'a container: nothing in it names the run, its root mount leads there',
      { processes: [seen(9, 'sleep infinity', ['', `36 35 0:50 / / ro - overlay overlay lowerdir=/tmp/${RUN}`])] },
      ['process 9: sleep infinity'],
    ],
    [
      'what a monitor of the run began, and its cgroup',
      { processes: [monitor, seen(10, 'sleep infinity', [], 7)], cgroups: [group(`plinth-${CONTAINER}.test`, 10)] },
      [
        `process 7: ${monitor.command}`,
        'process 10: sleep infinity',
        `cgroup /sys/fs/cgroup/pids/plinth-${CONTAINER}.test (10)`,
      ],
    ],
    [
      'an empty cgroup that is new, although its name is in many mouths',
      { processes: [seen(11, 'npm test')], cgroups: [group(`plinth-${CONTAINER}.test`), group('plinth-build-1')] },
      [`cgroup /sys/fs/cgroup/pids/plinth-${CONTAINER}.test`, 'cgroup /sys/fs/cgroup/pids/plinth-build-1'],
    ],
    [
      'a mount below the directory of the run',
      { mounts: [`36 35 98:0 / /tmp/plinth-run-${RUN}/a\\040b rw - tmpfs tmpfs rw`] },
      [`mount /tmp/plinth-run-${RUN}/a b`],
    ],
    ['an interface', { interfaces: ['lo', 'plinth0'] }, ['network interface plinth0']],
    ['rules of an agent', { tables: ['plinth_5678'] }, ['nftables table plinth_5678']],
    ['the directory of an agent', { runtimeState: ['/run/plinth/5678'] }, ['runtime state /run/plinth/5678']],
    ['runtime state', { runtimeState: ['/run/plinth/5678/r/x'] }, ['runtime state /run/plinth/5678/r/x']],
    ['a file', { files: [`/tmp/plinth-run-${RUN}/x`] }, [`file /tmp/plinth-run-${RUN}/x`]],
  ];
  it.each(cases)('finds %s', (_, after, expected) => {
    expect(found(after)).toEqual(expected);
  });

  const others: readonly [string, Partial<MachineState>, Partial<MachineState>][] = [
    ['rules that were there', { tables: ['plinth_5678'] }, { tables: ['plinth_5678'] }],
    [
      'rules of an agent that another process names',
      { tables: ['plinth_5678'], processes: [seen(12, 'conmon --root /run/plinth/5678/r')] },
      {},
    ],
    ['a process of another run', { processes: [seen(7, 'conmon', ['PLINTH_TEST_RUN=other'])] }, {}],
    ['a mount of another program', { mounts: ['36 35 98:0 / /mnt rw - tmpfs tmpfs rw'] }, {}],
    [
      'a cgroup with a process of another run',
      { processes: [seen(11, 'sleep infinity')], cgroups: [group(`plinth-${CONTAINER}.1234`, 11)] },
      {},
    ],
    [
      'an empty cgroup whose container or instance another process names',
      {
        processes: [seen(11, `conmon --cid ${CONTAINER}`), seen(12, 'conmon --root /run/plinth/5678/r')],
        cgroups: [group(`plinth-${CONTAINER}.1234`), group(`plinth/${'b'.repeat(32)}.5678`)],
      },
      {},
    ],
    [
      'an interface while another run is on the machine',
      { interfaces: ['plc0'], processes: [seen(7, 'jest', ['PLINTH_TEST_RUN=other'])] },
      {},
    ],
    [
      'cgroups, interfaces and runtime state that were there before',
      { cgroups: [group('plinth/x.y')], interfaces: ['plinth0'], runtimeState: ['/run/plinth/1/r/x'] },
      { cgroups: [group('plinth/x.y')], interfaces: ['plinth0'], runtimeState: ['/run/plinth/1/r/x'] },
    ],
    [
      'the looking process, and those that began it',
      { processes: [seen(SELF, `look ${RUN}`, [], 99), seen(99, `bash ${RUN}`)] },
      {},
    ],
    [
      'an empty cgroup or runtime state while another run is on the machine',
      {
        processes: [seen(11, 'jest', ['PATH=/bin PLINTH_TEST_RUN=0123'])],
        cgroups: [group(`plinth-${CONTAINER}.test`)],
        runtimeState: ['/run/plinth/5678/r/x'],
      },
      {},
    ],
    ['an interface that is not of the run', { interfaces: ['docker0'] }, {}],
  ];
  it.each(others)('does not take %s for its own', (_, after, before) => {
    expect(found(after, before)).toEqual([]);
  });
});
