/** Environment of the distributor. */
import { NAME_PATTERN } from '@plinth/contracts';
import { TransferConfig } from '@plinth/image-transfer/service';
import { TRUSTED_KEYS_WANTED } from '@plinth/image-trust';
import { IsNumber, Matches, Max, Min } from 'class-validator';
import { LABELS_PATTERN } from './domain/targeting.js';

export class DistributorConfig extends TransferConfig {
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

  @IsNumber()
  @Min(0.1)
  @Max(60)
  PLINTH_HEARTBEAT_SECONDS: number = 3;

  /** Seconds between two measurements of the disk usage of the tenants' volumes. */
  @IsNumber()
  @Min(0.1)
  @Max(86_400)
  PLINTH_DISK_USE_SECONDS: number = 30;
}
