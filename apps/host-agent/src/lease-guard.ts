/**
 * The program beside the agent that renews the host's leases, and ends containers whose lease has run out; it lives for as long as the agent
 * or a container does, so that an agent that is away for a while costs nothing.
 */
import { LeaseRenewal } from './adapters/lease-renewal.js';
import { lockGuard } from './adapters/kernel-locks.js';

const [, , hostDirectory = ''] = process.argv;
const lock = lockGuard(hostDirectory);
// Another one lives.
if (!lock) process.exit(0);
await LeaseRenewal.fromEnvironment(process.env).run();
