/** Environment of the distributor. */
import { IsServingUrl, NAME_PATTERN } from '@plinth/contracts';
import { TRUSTED_KEYS_WANTED } from '@plinth/image-trust';
import { ServiceConfig } from '@plinth/service-kit';
import { IsInt, IsNumber, IsOptional, IsString, Matches, Max, MaxLength, Min } from 'class-validator';
import { LABELS_PATTERN } from './domain/targeting.js';

export class DistributorConfig extends ServiceConfig {
  /** Name of the storage node; distributors with the same name share one storage directory and its work. */
  @Matches(NAME_PATTERN)
  PLINTH_STORAGE_NODE!: string;

  /** Absolute path; masters, volumes and software are below it, on one file system. */
  @Matches(/^\//, { message: 'PLINTH_STORAGE_DIR must be an absolute path' })
  PLINTH_STORAGE_DIR!: string;

  @Matches(NAME_PATTERN)
  PLINTH_DATACENTER: string = 'default';

  /** `k=v,k=v`; promotions may name one of them instead of a node. */
  @Matches(LABELS_PATTERN, { message: 'PLINTH_LABELS must look like tier=ssd,rack=r-7' })
  PLINTH_LABELS: string = '';

  /**
   * Directory of Ed25519 public keys, `<keyId>.pem`: images signed with one of them are installed. It is read before
   * every installation.
   */
  @Matches(/^\//, { message: TRUSTED_KEYS_WANTED })
  PLINTH_TRUSTED_KEYS!: string;

  /**
   * File with the token that image repositories require, mode 0600; its first line is sent. It is read at every
   * installation.
   */
  @IsOptional()
  @IsString()
  @Matches(/^\//, { message: 'PLINTH_DOWNLOAD_TOKEN_FILE must be an absolute path' })
  PLINTH_DOWNLOAD_TOKEN_FILE?: string;

  /**
   * Port at which other nodes and hosts fetch this node's images, with a token of the file above: each of its words is
   * accepted. 0: any free port. Absent: it serves none.
   */
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

  /** Most that packed segments take on the disk, mebibytes. */
  @IsInt()
  @Min(1)
  @Max(1024 ** 2)
  PLINTH_SERVE_CACHE_MIB: number = 1_024;

  @IsNumber()
  @Min(0.1)
  @Max(60)
  PLINTH_HEARTBEAT_SECONDS: number = 3;

  /** Seconds between two measurements of the disk usage of the tenants' volumes. */
  @IsNumber()
  @Min(0.1)
  @Max(86_400)
  PLINTH_DISK_USE_SECONDS: number = 30;

  /** A download that receives less than 64 KiB in this time is cancelled; the received bytes are kept. */
  @IsNumber()
  @Min(0.1)
  @Max(600)
  PLINTH_DOWNLOAD_STALL_SECONDS: number = 20;

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

  /** Longest pause between two tries of an installation, seconds. */
  @IsNumber()
  @Min(0.25)
  @Max(3600)
  PLINTH_RETRY_MAX_SECONDS: number = 60;
}
