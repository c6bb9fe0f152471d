/** A stack whose downloads, disks and clocks the harness controls. */
import { INSTALLATION, Stack } from '../stack.js';
import { LimitedDisks } from './disks.js';
import { copyInstallation, type Edit, type Installation } from './installation.js';
import { RepositoryProxy } from './repository-proxy.js';

/** The text in the built stack that sets the address of image downloads. */
export const PUBLIC_URL = {
  file: 'libs/stack/dist/stack-plan.js',
  find: 'PLINTH_PUBLIC_URL: `http://127.0.0.1:${downloads}`',
};

export class Rig {
  private constructor(
    readonly stack: Stack,
    readonly disks: LimitedDisks,
    readonly repository: RepositoryProxy,
    readonly installation: Installation,
  ) {}

  /** @param edits further edits, such as a planted bug */
  static async open(edits: readonly Edit[] = []): Promise<Rig> {
    let stack: Stack | undefined;
    const repository = await RepositoryProxy.open(() => {
      const builder = stack?.file().services.find(({ name }) => name === 'image-builder');
      return `http://127.0.0.1:${builder?.environment?.['PLINTH_DOWNLOAD_PORT'] ?? 1}`;
    });
    const installation = copyInstallation(INSTALLATION, [
      ...edits,
      { ...PUBLIC_URL, replace: `PLINTH_PUBLIC_URL: '${repository.url}'` },
    ]);
    stack = new Stack(installation.directory);
    const rig = new Rig(stack, new LimitedDisks(stack.home), repository, installation);
    await stack.up();
    return rig;
  }

  async close(): Promise<void> {
    // It reports our disks as left behind, and stops everything else.
    await this.stack.plinth('down');
    this.repository.close();
    this.disks.release();
    const { code, stdout, stderr } = await this.stack.down();
    this.installation.remove();
    // Another stack's agents that were started meanwhile have our disks in their own mount namespaces.
    const left = this.disks.mountPoints().reduce((text, path) => text.replaceAll(`mount ${path}`, ''), stderr);
    if (code !== 0 && /(?:process|mount|cgroup) \S/.test(left))
      throw new Error(`down ended with ${code}: ${stdout}${stderr}`);
  }
}
