/** Counts the bytes of one download, and shows how far it is. */
import type { TryProgress } from './domain/installed.js';

export interface DownloadCount {
  /** @param total bytes of all that is sent */
  readonly begin: (total: number) => void;
  readonly onBytes: (count: number) => void;
}

/**
 * @param from bytes that are there; `ofBytes` undefined: not known before `begin`
 * @param received gets what comes
 */
export function countDownload(
  { source, from, ofBytes }: { readonly source: string; readonly from: number; readonly ofBytes?: number | undefined },
  received: (count: number) => void,
  onProgress: ((progress: TryProgress) => void) | undefined,
): DownloadCount {
  let [bytes, total] = [from, ofBytes];
  const show = (): void => onProgress?.({ source, bytes, ...(total !== undefined && { ofBytes: total }) });
  show();
  return {
    begin: (found) => {
      total = found;
      show();
    },
    onBytes: (count) => {
      received(count);
      bytes += count;
      show();
    },
  };
}
