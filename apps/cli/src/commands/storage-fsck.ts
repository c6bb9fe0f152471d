/** Checks the images in a storage directory of this machine. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NAME_PATTERN, VERSION_PATTERN } from '@plinth/contracts';
import { checkVersion, FileReader, type TreeProblem } from '@plinth/image-store';
import { printLine } from '../output/print.js';

const SHOWN = 20;

interface CheckedImage {
  readonly image: string;
  readonly problems: readonly TreeProblem[];
}

/** By whose store it is: what is to be done about damage. */
const REPAIRS = {
  'storage node':
    'the distributor of this node repairs what its own check finds; `plinth image promote` repairs what is marked already',
  host: 'the host agent fetches again what its own check finds; a version that no container needs: `plinth cache evict`',
} as const;

/** Changes nothing. @returns whether all are sound */
export function fsck(directory: string, only: readonly string[], asJson: boolean, of: keyof typeof REPAIRS): boolean {
  const images = imagesIn(join(directory, 'images'));
  const unknown = only.filter((ref) => !images.some(({ image }) => image === ref));
  if (unknown.length > 0)
    throw new Error(`${directory} has no ${unknown.join(', ')}; ls ${join(directory, 'images')} shows what it has`);
  const reader = new FileReader();
  const checked: CheckedImage[] = [];
  for (const { image, path } of images) {
    if (only.length > 0 && !only.includes(image)) continue;
    const problems = checkVersion(path, undefined, reader);
    if (!problems) continue;
    checked.push({ image, problems });
    if (asJson) continue;
    printLine(problems.length === 0 ? `${image} is sound` : `${image} is DAMAGED: ${problems.length} problems`);
    for (const { path: name, problem } of problems.slice(0, SHOWN)) printLine(`  ${JSON.stringify(name)}: ${problem}`);
    if (problems.length > SHOWN) printLine(`  and ${problems.length - SHOWN} more (--json shows all)`);
  }
  const damaged = checked.filter(({ problems }) => problems.length > 0).length;
  if (asJson) printLine(JSON.stringify({ images: checked, files: reader.files, bytes: reader.bytes }));
  else {
    printLine(
      `${checked.length} images, ${reader.files} different files, ${Math.round(reader.bytes / 1e6)} MB read, ${damaged} damaged`,
    );
    if (damaged > 0) printLine(REPAIRS[of]);
  }
  return damaged === 0;
}

function imagesIn(directory: string): { readonly image: string; readonly path: string }[] {
  return readdirSync(directory)
    .filter((name) => NAME_PATTERN.test(name) && lstatSync(join(directory, name)).isDirectory())
    .flatMap((name) =>
      readdirSync(join(directory, name))
        .filter((version) => VERSION_PATTERN.test(version))
        .map((version) => ({ image: `${name}@${version}`, path: join(directory, name, version) })),
    );
}
