/** The list of image versions. */
import type { ImageSummary } from '@plinth/contracts';
import type { List } from './list.js';
import { ageCell, sizeCell } from './table.js';

export const IMAGES: List<ImageSummary> = {
  name: ({ name, version }) => `${name}@${version}`,
  columns: [
    { heading: 'IMAGE', cell: ({ name, version }) => `${name}@${version}` },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'DEFAULT', cell: defaultOf },
    { heading: 'ARCHIVE', cell: ({ archiveBytes }) => sizeCell(archiveBytes) },
    { heading: 'UNPACKED', cell: ({ unpackedBytes }) => sizeCell(unpackedBytes) },
    { heading: 'STORAGE NODES', cell: ({ storageNodes }) => storageNodes.join(',') },
    { heading: 'CONTAINERS', cell: ({ containers }) => containers },
    { heading: 'SINCE', cell: ({ at }) => ageCell(at, Date.now()) },
    { heading: 'MESSAGE', cell: ({ message }) => message?.slice(0, 60) },
  ],
};

export function defaultOf(image: ImageSummary): string | null {
  if (image.defaultOs) return 'OS';
  return image.defaultVersion ? 'version' : null;
}
