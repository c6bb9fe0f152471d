/** The container runtime's requirements on a mount plan, and on the tree that it is mounted on. */
import { chmod, lchown, lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { requiredDirectories, validateMountPlan } from '@plinth/container-runtime';
import { type MountPlan, REQUIRED_MOUNT_POINTS } from '@plinth/contracts';
import { BuildRefusal } from '../../domain/build-refusal.js';
import { isMissing } from './image-tree.js';

export function checkMountPlan(plan: MountPlan): void {
  const problems = validateMountPlan(plan);
  if (problems.length > 0)
    throw new BuildRefusal('invalid-recipe', `writable: ${problems.map(({ message }) => message).join('; ')}`);
}

/**
 * Makes every directory that a container of this plan is mounted on; one that is there stays as it is.
 * @throws BuildRefusal when one is something else, or would be reached through a link
 */
export async function makeMountPoints(root: string, plan: MountPlan): Promise<void> {
  for (const path of REQUIRED_MOUNT_POINTS) await makeDirectory(root, path, path === 'tmp' ? 0o1777 : 0o755);
  for (const { path, mode, like } of requiredDirectories(plan)) {
    const made = await makeDirectory(root, path, mode);
    if (like === undefined || !made) continue;
    const { uid, gid } = await lstat(join(root, like));
    await lchown(join(root, path), uid, gid);
  }
}

/** @returns whether it was made */
async function makeDirectory(root: string, path: string, mode: number): Promise<boolean> {
  const components = path.split('/');
  let made = false;
  for (let length = 1; length <= components.length; length++) {
    const at = join(root, ...components.slice(0, length));
    const found = await lstat(at).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (found?.isDirectory()) continue;
    if (found)
      throw new BuildRefusal(
        'unsafe-tree',
        `/${components.slice(0, length).join('/')} must be a real directory, ` +
          `because containers are mounted on /${path}; it is something else`,
      );
    await mkdir(at);
    await chmod(at, length === components.length ? mode : 0o755);
    made = length === components.length;
  }
  return made;
}
