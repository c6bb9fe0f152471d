/** Which limits of containers this machine can hold. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bandwidthProblem } from '@plinth/host-network';
import { openDiskLimits } from '@plinth/host-os';
import { diskOf, ioControls } from '@plinth/container-runtime';
import { type Check, ok, warn } from './check.js';
import { storageOf } from './user-namespaces.js';

export function checkLimits(home: string, environment: NodeJS.ProcessEnv): Check[] {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return [];
  const storage = storageOf(home, environment).map((path) => {
    const volumes = join(path, 'volumes');
    return existsSync(volumes) ? volumes : path;
  });
  return [checkBandwidth(), ...storage.map(checkDisk), checkIo(storage)];
}

function checkBandwidth(): Check {
  const problem = bandwidthProblem();
  return problem === undefined
    ? ok('bandwidth', 'what containers receive and send can be limited')
    : warn('bandwidth', problem, 'containers with a bandwidth are not placed here; a kernel with sch_tbf');
}

function checkDisk(path: string): Check {
  const limits = openDiskLimits(path);
  return typeof limits === 'string'
    ? warn('disk limits', `not on ${path}: ${limits}`, 'containers with --disk are not placed here')
    : ok('disk limits', `${path}: ${limits.how}`);
}

function checkIo(storage: readonly string[]): Check {
  const disks = storage.flatMap((path) => diskOf(path) ?? []);
  const controls = ioControls(disks);
  if (controls.includes('weight')) return ok('input, output', 'weight and maxima of containers can be held');
  return warn(
    'input, output',
    controls.length > 0 ? 'maxima of containers can be held, no weight' : 'neither weight nor maxima can be held',
    `containers with --io-weight${controls.length > 0 ? '' : ' or --io-max'} are not placed here; a weight needs the scheduler bfq of the disk (/sys/block/<disk>/queue/scheduler), or io.cost.qos of version 2`,
  );
}
