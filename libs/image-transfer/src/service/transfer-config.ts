/** The environment of services that fetch images, check them, and serve them to others. */
import { IsServingUrl } from '@plinth/contracts';
import { ConfigError, readSecret, ServiceConfig } from '@plinth/service-kit';
import { IsInt, IsNumber, IsOptional, IsString, Matches, Max, MaxLength, Min } from 'class-validator';

const MIB = 1024 ** 2;

export class TransferConfig extends ServiceConfig {
  /**
   * File with the token that image repositories require, mode 0600; its first word is sent. Others who fetch here have
   * to send one of its words. It is read at every use.
   */
  @IsOptional()
  @IsString()
  @Matches(/^\//, { message: 'PLINTH_DOWNLOAD_TOKEN_FILE must be an absolute path' })
  PLINTH_DOWNLOAD_TOKEN_FILE?: string;

  /** A download that receives less than 64 KiB in this time is cancelled; the received bytes are kept. */
  @IsNumber()
  @Min(0.1)
  @Max(600)
  PLINTH_DOWNLOAD_STALL_SECONDS: number = 20;

  /** Most that all downloads together receive, mebibytes a second; absent: no limit. */
  @IsOptional()
  @IsNumber()
  @Min(0.1)
  @Max(100_000)
  PLINTH_DOWNLOAD_MIB_PER_SECOND?: number;

  /** Versions that are fetched at once. */
  @IsInt()
  @Min(1)
  @Max(32)
  PLINTH_DOWNLOADS: number = 4;

  /** Longest pause between two tries to fetch an image, seconds. */
  @IsNumber()
  @Min(0.25)
  @Max(3600)
  PLINTH_RETRY_MAX_SECONDS: number = 60;

  /** Bytes a second that the check of installed images reads at most, in mebibytes. */
  @IsNumber()
  @Min(0.1)
  @Max(100_000)
  PLINTH_SCRUB_MIB_PER_SECOND: number = 20;

  /** Hours between the begin of two checks of all installed images; the first begins that long after the start. */
  @IsNumber()
  @Min(0.0001)
  @Max(8_760)
  PLINTH_SCRUB_HOURS: number = 24;

  /** Port at which others fetch the images that are here. 0: any free port. Absent: none are served. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(65_535)
  PLINTH_SERVE_PORT?: number;

  @IsString()
  @MaxLength(255)
  PLINTH_SERVE_HOST: string = '127.0.0.1';

  /** How others reach it, e.g. `http://sn-1.internal:8090`; absent: by host and port. */
  @IsOptional()
  @IsServingUrl()
  PLINTH_SERVE_URL?: string;

  /** PEM files, both or none: HTTPS. */
  @IsOptional()
  @Matches(/^\//, { message: 'PLINTH_SERVE_TLS_CERT must be an absolute path' })
  PLINTH_SERVE_TLS_CERT?: string;

  @IsOptional()
  @Matches(/^\//, { message: 'PLINTH_SERVE_TLS_KEY must be an absolute path' })
  PLINTH_SERVE_TLS_KEY?: string;

  /** Transfers at once; more receivers are asked to come again, or to go to others. */
  @IsInt()
  @Min(1)
  @Max(200)
  PLINTH_SERVE_TRANSFERS: number = 8;

  /** Most that all receivers together are sent, mebibytes a second; absent: no limit. */
  @IsOptional()
  @IsNumber()
  @Min(0.1)
  @Max(100_000)
  PLINTH_SERVE_MIB_PER_SECOND?: number;

  /** Most that packed segments take on the disk, mebibytes. */
  @IsInt()
  @Min(1)
  @Max(1024 ** 2)
  PLINTH_SERVE_CACHE_MIB: number = 1_024;
}

/** How a machine serves its images. */
export interface ServeSettings {
  /** 0: any free port. */
  readonly port: number;
  readonly host: string;
  /** How others reach it; absent: by host and port. */
  readonly url?: string;
  /** PEM files; absent: plain HTTP. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly tokenFile: string;
  readonly transfers: number;
  readonly bytesPerSecond?: number;
  readonly cacheBytes: number;
}

/** @returns undefined: none are served @throws ConfigError */
export function serveSettings(config: TransferConfig): ServeSettings | undefined {
  const { PLINTH_SERVE_PORT: port, PLINTH_SERVE_URL: url, PLINTH_DOWNLOAD_TOKEN_FILE: tokenFile } = config;
  const { PLINTH_SERVE_TLS_CERT: certFile, PLINTH_SERVE_TLS_KEY: keyFile } = config;
  if (port === undefined) return undefined;
  if (tokenFile === undefined)
    throw new ConfigError(['PLINTH_DOWNLOAD_TOKEN_FILE is needed to serve images: others send a token of it']);
  return {
    ...{ port, host: config.PLINTH_SERVE_HOST, tokenFile, transfers: config.PLINTH_SERVE_TRANSFERS },
    cacheBytes: config.PLINTH_SERVE_CACHE_MIB * MIB,
    ...(url !== undefined && { url }),
    ...(certFile !== undefined && keyFile !== undefined && { tls: { certFile, keyFile } }),
    ...(config.PLINTH_SERVE_MIB_PER_SECOND !== undefined && {
      bytesPerSecond: config.PLINTH_SERVE_MIB_PER_SECOND * MIB,
    }),
  };
}

/** @throws CredentialsError when the file is missing or open to others */
export function readTokens(file: string): readonly string[] {
  return readSecret(file).toString('latin1').split(/\s+/).filter(Boolean);
}
