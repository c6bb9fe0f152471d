/**
 * The files of builds in progress: below this service id's own directory, so that a new process with this id may clear
 * them all.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

export class WorkDirectories {
  private constructor(
    private readonly own: string,
    private readonly logs: string,
  ) {}

  static async open(root: string, serviceId: string): Promise<WorkDirectories> {
    const own = join(root, 'work', serviceId);
    await mkdir(own, { recursive: true, mode: 0o700 });
    await mkdir(join(root, 'logs'), { recursive: true, mode: 0o750 });
    return new WorkDirectories(own, join(root, 'logs'));
  }

  get sandbox(): string {
    return join(this.own, '.sandbox');
  }

  get containers(): string {
    return join(this.own, '.containers');
  }

  /** Removes the files of all builds; sandbox and containers clean up their own. */
  async clear(): Promise<void> {
    for (const name of await readdir(this.own))
      if (!name.startsWith('.')) await rm(join(this.own, name), { recursive: true, force: true });
  }

  /** @returns an empty directory */
  async make(buildId: string): Promise<string> {
    await this.remove(buildId);
    const path = join(this.own, buildId);
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  async remove(buildId: string): Promise<void> {
    await rm(join(this.own, buildId), { recursive: true, force: true });
  }

  log(name: string, version: string): string {
    return join(this.logs, `${name}-${version}.log`);
  }
}
