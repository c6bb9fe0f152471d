/** The programs that plinth starts. */
import { spawnSync } from 'node:child_process';
import { type Check, fail, ok, warn } from './check.js';

interface Program {
  readonly name: string;
  readonly package: string;
  readonly argument: string;
}

const PROGRAMS: readonly Program[] = [
  { name: 'nats-server', package: 'nats-server', argument: '--version' },
  { name: 'conmon', package: 'conmon', argument: '--version' },
  { name: 'mmdebstrap', package: 'mmdebstrap', argument: '--version' },
  { name: 'zstd', package: 'zstd', argument: '--version' },
  { name: 'tar', package: 'tar', argument: '--version' },
  { name: 'ip', package: 'iproute2', argument: '-V' },
  { name: 'setpriv', package: 'util-linux', argument: '--version' },
  { name: 'newuidmap', package: 'uidmap', argument: '--help' },
];
const RUNTIMES = ['crun', 'runc'];

export function checkPrograms(): Check[] {
  return [...PROGRAMS.map(checkProgram), checkRuntimes()];
}

function checkProgram(program: Program): Check {
  const binary = program.name === 'nats-server' ? (process.env.PLINTH_NATS_BIN ?? program.name) : program.name;
  const version = versionOf(binary, program.argument);
  if (version !== undefined) return ok(program.name, version);
  // The stack starts its own NATS only when NATS_URL names none.
  const todo = `apt-get install --no-install-recommends ${program.package}`;
  return program.name === 'nats-server' && process.env.NATS_URL
    ? warn(program.name, 'not found', `not needed with NATS_URL; else: ${todo}`)
    : fail(program.name, 'not found', todo);
}

function checkRuntimes(): Check {
  const found = RUNTIMES.map((name) => versionOf(name, '--version')).filter((version) => version !== undefined);
  return found.length > 0
    ? ok('OCI runtime', found.join('; '))
    : fail('OCI runtime', 'neither crun nor runc', 'apt-get install --no-install-recommends crun');
}

/** The version in the first line that the program prints; undefined when there is no such program. */
function versionOf(binary: string, argument: string): string | undefined {
  const { error, stdout, stderr } = spawnSync(binary, [argument], { encoding: 'utf8', timeout: 10_000 });
  if (error) return undefined;
  const line = `${stdout}\n${stderr}`.trim().split('\n')[0] ?? '';
  return argument === '--help' ? 'found' : firstVersion(line);
}

/**
 * Pure: `zstd command line interface 64-bits v1.5.4, by ..` is 1.5.4; the whole line when it has no number like that.
 */
export function firstVersion(line: string): string {
  const version = /\d+\.\d+[\w.+-]*/.exec(line)?.[0].replace(/[.,]+$/, '');
  const program = line.split(/[\s:]/)[0] ?? '';
  return version === undefined ? line : ['crun', 'runc'].includes(program) ? `${program} ${version}` : version;
}
