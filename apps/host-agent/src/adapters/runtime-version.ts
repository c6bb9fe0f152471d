/** Name and version that the container runtime reports. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** e.g. `crun 1.8.1`, from `crun version 1.8.1`. */
export async function runtimeVersion(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 5_000, env: {} });
  return (stdout.split('\n')[0] ?? '').replace(' version ', ' ').slice(0, 200);
}
