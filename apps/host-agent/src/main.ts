/** One agent per host. `--remove-all` deletes every container of the state directory instead, without NATS. */
import { join } from 'node:path';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';

await enterPrivateMountNamespace();
const { removeAll, run } = await import('./host-agent.module.js');
const programs = {
  leaseGuard: join(import.meta.dirname, 'lease-guard.js'),
  resolver: join(import.meta.dirname, 'name-resolver.js'),
};
await (process.argv.includes('--remove-all') ? removeAll(programs) : run(programs));
