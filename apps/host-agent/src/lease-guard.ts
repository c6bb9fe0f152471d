/**
 * A process beside the agent that renews the host's leases and ends containers whose lease has run out. It runs as long
 * as the agent or a container does, so that containers survive a restart of the agent.
 */
import { LeaseRenewal } from './adapters/lease-renewal.js';
import { join } from 'node:path';
import { tryFileLock } from '@plinth/host-os';
import { GUARD_LOCK } from './adapters/lease-files.js';

const [, , hostDirectory = ''] = process.argv;
const lock = tryFileLock(join(hostDirectory, GUARD_LOCK));
// Another guard runs.
if (!lock) process.exit(0);
await LeaseRenewal.fromEnvironment(process.env).run();
