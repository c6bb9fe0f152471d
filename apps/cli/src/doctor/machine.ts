/** The machine: user, kernel, memory, disk. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import { cgroupLayout, type MissingLimit, missingLimits } from '@plinth/container-runtime';
import { type Check, fail, ok, warn } from './check.js';

const GIB = 1024 ** 3;
const LAYOUTS = {
  unified: 'version 2',
  hybrid: 'version 1, with version 2 beside it',
  legacy: 'version 1',
} as const;
/** capability.h */
const CAP_SYS_ADMIN = 21n;
const CAP_SYS_RESOURCE = 24n;

export function checkMachine(home: string, environment: NodeJS.ProcessEnv): Check[] {
  return [
    checkRoot(),
    checkSystem(),
    checkNode(),
    checkCgroups(environment),
    checkResourceCapability(),
    checkDisk(home),
    checkMemory(),
  ];
}

function checkRoot(): Check {
  return process.getuid?.() === 0 ? ok('root', 'yes') : fail('root', `user ${process.getuid?.()}`, 'run it with sudo');
}

function checkSystem(): Check {
  if (process.platform !== 'linux') return fail('system', process.platform, 'run it on Linux');
  const release = existsSync('/etc/os-release')
    ? (/^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux')
    : 'Linux';
  return ok('system', release);
}

/** Pure: whether a Node.js version such as 20.19.1 will do. */
export function nodeIsRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19);
}

function checkNode(): Check {
  const { node } = process.versions;
  return nodeIsRecent(node) ? ok('node', node) : fail('node', node, 'install Node.js 20.19 or later');
}

function checkCgroups(environment: NodeJS.ProcessEnv): Check {
  return cgroupCheck(cgroupLayout(), missingLimits(), environment['PLINTH_CONTAINER_LIMITS']);
}

/** Pure. @param policy PLINTH_CONTAINER_LIMITS of the host agent */
export function cgroupCheck(
  layout: ReturnType<typeof cgroupLayout>,
  missing: readonly MissingLimit[],
  policy: string | undefined,
): Check {
  const found = LAYOUTS[layout];
  if (missing.length === 0) return ok('cgroups', found);
  const problem = `${found}; limits that can't be held: ${missing.map(({ limit, message }) => `${limit} (${message})`).join('; ')}`;
  return policy === 'preferred'
    ? warn('cgroups', problem, 'containers run without them: PLINTH_CONTAINER_LIMITS is preferred')
    : fail(
        'cgroups',
        problem,
        'have the controllers memory, cpu and pids on one version of cgroups (kernel command line: cgroup_enable=memory, ' +
          'systemd.unified_cgroup_hierarchy=1); or set PLINTH_CONTAINER_LIMITS=preferred at the host agent: containers then run without these limits',
      );
}

/** Pure: whether /proc/<pid>/status has the capability in force. */
export function hasCapability(status: string, capability: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> capability) & 1n) === 1n;
}

function checkResourceCapability(): Check {
  const status = readFileSync('/proc/self/status', 'utf8');
  if (!hasCapability(status, CAP_SYS_ADMIN))
    return fail('capabilities', 'no CAP_SYS_ADMIN', 'mounts need it: run as root, in a container as a privileged one');
  if (hasCapability(status, CAP_SYS_RESOURCE)) return ok('capabilities', 'CAP_SYS_ADMIN, CAP_SYS_RESOURCE');
  return warn(
    'capabilities',
    'no CAP_SYS_RESOURCE',
    'containers get the limits of this session (crun is used); grant CAP_SYS_RESOURCE to be able to raise them',
  );
}

function checkDisk(home: string): Check {
  let directory = home;
  while (!existsSync(directory)) directory = dirname(directory);
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const found = `${(free / GIB).toFixed(1)} GiB free in ${directory}`;
  if (free < GIB) return fail('disk', found, 'make room, or set PLINTH_HOME to a larger disk');
  return free < 5 * GIB
    ? warn('disk', found, 'images and volumes soon need more; PLINTH_HOME moves them')
    : ok('disk', found);
}

function checkMemory(): Check {
  const found = `${(totalmem() / GIB).toFixed(1)} GiB`;
  if (totalmem() < GIB) return fail('memory', found, 'a stack needs 1 GiB at least');
  return totalmem() < 3 * GIB
    ? warn('memory', found, 'enough for a few containers; 4 GiB are comfortable')
    : ok('memory', found);
}
