/**
 * The program beside the agent that renews the host's leases, and ends containers whose lease has run out; it lives for as long as the agent
 * or a container does, so that an agent that is away for a while costs nothing.
 */
import { LeaseRenewal } from './adapters/lease-renewal.js';
import { join } from 'node:path';
import { tryFileLock } from '@plinth/host-os';
import { GUARD_LOCK } from './adapters/lease-files.js';

const [, , hostDirectory = ''] = process.argv;
const lock = tryFileLock(join(hostDirectory, GUARD_LOCK));
// Another one lives.
if (!lock) process.exit(0);
await LeaseRenewal.fromEnvironment(process.env).run();
