/** Wiring of the host's own store of images. */
import { join } from 'node:path';
import { type SharedPace, sharedPace } from '@plinth/image-transfer';
import { readTokens, serveSettings, ServingThread } from '@plinth/image-transfer/service';
import { ConfigError, CredentialsError, type Logger } from '@plinth/service-kit';
import { OwnImages, StoreInUseError } from './adapters/own-images.js';
import type { HostAgentConfig } from './config.js';
import { parseDailyWindows } from './domain/daily-windows.js';
import type { AgentServices } from './reconcile/agent-services.js';
import { ImageReports } from './reconcile/image-reports.js';
import { ImageScrub } from './reconcile/image-scrub.js';
import { ImageSupply } from './reconcile/image-supply.js';

/** Of the thread that serves images to others: what runs here comes first. */
const SERVING_NICE = 10;

/** @returns undefined: images are on attached storage nodes @throws ConfigError */
export async function openOwnImages(config: HostAgentConfig, stateRoot: string): Promise<OwnImages | undefined> {
  if (config.PLINTH_IMAGES === 'attached') return undefined;
  try {
    return await OwnImages.open(config.PLINTH_IMAGE_DIR ?? join(stateRoot, 'image-store'), {
      stallMs: config.PLINTH_DOWNLOAD_STALL_SECONDS * 1_000,
      trustedKeys: config.PLINTH_TRUSTED_KEYS,
      ...ofPace(sharedPace(mebibytes(config.PLINTH_DOWNLOAD_MIB_PER_SECOND))),
    });
  } catch (error) {
    if (!(error instanceof StoreInUseError)) throw error;
    throw new ConfigError([`PLINTH_IMAGE_DIR: ${error.message}`]);
  }
}

function mebibytes(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count * 1024 ** 2;
}

function ofPace(pace: SharedPace | undefined): { readonly pace?: SharedPace } {
  return pace ? { pace } : {};
}

/** @throws ConfigError */
export function ownImages(
  config: HostAgentConfig,
  images: OwnImages,
  logger: Logger,
): Required<Pick<AgentServices, 'supply' | 'imageReports' | 'imageScrub' | 'serving'>> {
  const imageReports = new ImageReports(config.PLINTH_HOST, logger);
  const windows = parseDailyWindows(config.PLINTH_AHEAD_WINDOWS ?? '');
  const supply = new ImageSupply(
    images,
    imageReports,
    {
      self: { node: config.PLINTH_HOST, dataCenter: config.PLINTH_DATACENTER },
      budgetBytes: config.PLINTH_IMAGE_CACHE_BYTES,
      longestPauseMs: config.PLINTH_RETRY_MAX_SECONDS * 1_000,
      fillsAtOnce: config.PLINTH_DOWNLOADS,
      ...(windows && { windows }),
      token: () => downloadToken(config.PLINTH_DOWNLOAD_TOKEN_FILE, logger),
    },
    logger,
  );
  const periodMs = config.PLINTH_SCRUB_HOURS * 3_600_000;
  const bytesPerSecond = config.PLINTH_SCRUB_MIB_PER_SECOND * 1024 ** 2;
  const imageScrub = new ImageScrub(images, { periodMs, bytesPerSecond }, () => supply.kick(), logger);
  const settings = serveSettings(config);
  const job = { directory: images.directory, settings, nice: SERVING_NICE };
  const serving = new ServingThread(job, () => supply.announce(), logger);
  return { imageReports, supply, imageScrub, serving };
}

/** A repository refuses downloads without the token, and they are tried again. */
function downloadToken(file: string | undefined, logger: Logger): string | undefined {
  try {
    return file === undefined ? undefined : readTokens(file)[0];
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error;
    logger.error({ err: error }, 'the token can not be read; downloads are sent without it');
    return undefined;
  }
}
