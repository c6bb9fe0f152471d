/** One machine of a lab: what runs in it, and what can happen to it as a whole. */
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isAlive, type ProcessIdentity } from '@plinth/local-servers';
import { inMachine } from './commands.js';
import type { RecordedMachine } from './lab-file.js';
import { groupsOf, isFrozen } from './machine-groups.js';
import { LabError } from './plan.js';
import { type Ran, runProgram, type RunOptions, spawnProgram } from './programs.js';

export interface CommandOptions {
  /** Beside PATH, HOME and LANG. */
  readonly env?: Readonly<Record<string, string>>;
  /** In the machine; `/` when absent. */
  readonly cwd?: string;
}

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

export class Machine {
  constructor(
    private readonly lab: string,
    private readonly recorded: () => RecordedMachine,
  ) {}

  get name(): string {
    return this.recorded().name;
  }

  get datacenter(): string {
    return this.recorded().datacenter;
  }

  get address(): string {
    return this.recorded().address;
  }

  get state(): 'running' | 'frozen' | 'off' {
    const { first } = this.recorded();
    if (!first || !isAlive(first)) return 'off';
    return isFrozen(this.lab, this.name) ? 'frozen' : 'running';
  }

  /** As this machine counts it. @throws LabError when it has no power */
  get first(): ProcessIdentity {
    const { first } = this.recorded();
    if (!first || !isAlive(first)) throw new LabError(`${this.name} has no power`);
    return first;
  }

  /**
   * Runs a command to its end; it is killed with the caller. In a frozen machine it waits until that is thawed.
   * @returns its exit code and output; never rejects on an exit code
   * @throws LabError when the machine has no power
   */
  async run(argv: readonly string[], options: CommandOptions & RunOptions = {}): Promise<Ran> {
    return runProgram(this.command(['setpriv', '--pdeathsig', 'KILL', '--', ...argv], options), options);
  }

  /** As {@link run}. @returns what it printed @throws LabError when it fails */
  async mustRun(argv: readonly string[], options: CommandOptions & RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options);
    if (code !== 0)
      throw new LabError(`${this.name}: ${argv.join(' ')} ended with ${code}: ${(stderr || stdout).trim()}`);
    return stdout;
  }

  /** Starts a command; `detached`: it outlives the caller, not the machine. */
  spawn(
    argv: readonly string[],
    {
      stdio,
      detached = false,
      ...options
    }: CommandOptions & { readonly stdio: StdioOptions; readonly detached?: boolean },
  ): ChildProcess {
    const bound = detached ? [] : ['setpriv', '--pdeathsig', 'KILL', '--'];
    return spawnProgram(this.command([...bound, ...argv], options), stdio, detached);
  }

  /** Where this machine, from outside, sees a path of it. */
  path(inside: string): string {
    return join('/proc', String(this.first.pid), 'root', inside);
  }

  /** Puts a file into it, as a person would carry it there. @param mode e.g. 0o600 */
  writeFile(inside: string, content: string | Uint8Array, mode = 0o644): void {
    const path = this.path(inside);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { mode });
  }

  private command(argv: readonly string[], { env = {}, cwd = '/' }: CommandOptions): readonly string[] {
    const variables = Object.entries({ ...ENVIRONMENT, ...env }).map(([name, value]) => `${name}=${value}`);
    return inMachine(this.first.pid, groupsOf(this.lab, this.name), [
      'env',
      '-i',
      `--chdir=${cwd}`,
      ...variables,
      ...argv,
    ]);
  }
}
