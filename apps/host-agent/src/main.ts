/** One agent per host. `--remove-all` deletes every container of the state directory instead, without NATS. */
import { join } from 'node:path';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';

await enterPrivateMountNamespace();
const { removeAll, run } = await import('./host-agent.module.js');
await (process.argv.includes('--remove-all') ? removeAll() : run(join(import.meta.dirname, 'lease-guard.js')));
