/**
 * One agent per host. `--remove-all` deletes every container of the state directory instead, without NATS;
 * `--enable-disk-limits <directory>` lets the btrfs of that directory hold data volumes to their limits.
 */
// First: Nest's decorators need it, and parts of a program are loaded in any order.
import 'reflect-metadata';
import { join } from 'node:path';
import { enterPrivateMountNamespace, MountNamespaceError } from '@plinth/container-runtime/private-mount-namespace';
import { enableBtrfsQuota, SystemCallError } from '@plinth/host-os';

const ENABLE = '--enable-disk-limits';
/** sysexits.h */
const EX_USAGE = 64;
const EX_OSERR = 71;
const EX_CONFIG = 78;

if (process.argv.includes(ENABLE)) enableDiskLimits(process.argv[process.argv.indexOf(ENABLE) + 1]);
else {
  await enterPrivateMountNamespace().catch(refuseStart);
  const { removeAll, run } = await import('./host-agent.module.js');
  const programs = {
    leaseGuard: join(import.meta.dirname, 'lease-guard.js'),
    resolver: join(import.meta.dirname, 'name-resolver.js'),
  };
  await (process.argv.includes('--remove-all') ? removeAll(programs) : run(programs));
}

function refuseStart(error: unknown): never {
  if (!(error instanceof MountNamespaceError)) throw error;
  process.stderr.write(
    `host-agent: every container needs mount namespaces, which can't be had here: ${error.message}; ` +
      'run the agent as root with CAP_SYS_ADMIN, in a container as a privileged one\n',
  );
  process.exit(EX_CONFIG);
}

function enableDiskLimits(directory: string | undefined): void {
  if (directory === undefined) {
    process.stderr.write(
      `host-agent: ${ENABLE} needs a directory of the file system, such as that of a storage node\n`,
    );
    process.exit(EX_USAGE);
  }
  try {
    enableBtrfsQuota(directory);
    process.stdout.write(`simple quotas are enabled on the btrfs of ${directory}\n`);
  } catch (error) {
    const why = error instanceof SystemCallError && error.code === 'ENOTTY' ? 'it is not on btrfs' : String(error);
    process.stderr.write(`host-agent: simple quotas can't be enabled for ${directory}: ${why}\n`);
    process.exit(EX_OSERR);
  }
}
