/** The image-builder's environment. */
import { ServiceConfig } from '@plinth/service-kit';
import { IsInt, IsNumber, IsOptional, IsString, IsUrl, Matches, Max, MaxLength, Min, MinLength } from 'class-validator';

const ABSOLUTE = /^\/(?!\.\.?(?:\/|$))[^\0]*$/;

export class ImageBuilderConfig extends ServiceConfig {
  @IsString()
  @MinLength(1)
  DATABASE_URL!: string;

  /** `work/` and `logs/`; on the file system of the repository, because images move there by rename. */
  @Matches(ABSOLUTE, { message: 'PLINTH_BUILDER_DIR must be an absolute path' })
  PLINTH_BUILDER_DIR!: string;

  /** `testing/`, `production/` and `deltas/`; shared by all copies of the service. */
  @Matches(ABSOLUTE, { message: 'PLINTH_REPOSITORY_DIR must be an absolute path' })
  PLINTH_REPOSITORY_DIR!: string;

  /** File with the Ed25519 private key (PKCS #8, PEM), readable by its owner only. */
  @Matches(ABSOLUTE, { message: 'PLINTH_SIGNING_KEY must be an absolute path' })
  PLINTH_SIGNING_KEY!: string;

  /** Port at which storage nodes download images. 0: any free port. */
  @IsInt()
  @Min(0)
  @Max(65_535)
  PLINTH_DOWNLOAD_PORT: number = 0;

  @IsString()
  @MaxLength(255)
  PLINTH_DOWNLOAD_HOST: string = '127.0.0.1';

  /** File with the token that a download needs, mode 0600; each line is a token that is accepted. */
  @Matches(ABSOLUTE, { message: 'PLINTH_DOWNLOAD_TOKEN_FILE must be an absolute path' })
  PLINTH_DOWNLOAD_TOKEN_FILE!: string;

  /** PEM files, both or none: HTTPS. */
  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_DOWNLOAD_TLS_CERT must be an absolute path' })
  PLINTH_DOWNLOAD_TLS_CERT?: string;

  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_DOWNLOAD_TLS_KEY must be an absolute path' })
  PLINTH_DOWNLOAD_TLS_KEY?: string;

  /** Most that all receivers together are sent, mebibytes a second; absent: no limit. */
  @IsOptional()
  @IsNumber()
  @Min(0.1)
  @Max(100_000)
  PLINTH_SERVE_MIB_PER_SECOND?: number;

  /** How storage nodes reach the download server, e.g. `http://builder.internal:8080`. */
  @IsUrl({
    require_tld: false,
    protocols: ['http', 'https'],
    require_protocol: true,
    allow_query_components: false,
    allow_fragments: false,
  })
  PLINTH_PUBLIC_URL!: string;

  /** Directory below which recipes may name tarballs and OCI layouts; absent: they may name none. */
  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_SOURCES_DIR must be an absolute path' })
  PLINTH_SOURCES_DIR?: string;

  /** Mirror for recipes that name none; absent: the Debian archive in this machine's own package sources. */
  @IsOptional()
  @IsUrl({ require_tld: false, protocols: ['http', 'https'], require_protocol: true })
  PLINTH_DEBIAN_MIRROR?: string;

  /**
   * Archive of earlier states: `debian/<time>` and `debian-security/<time>` lie below it. Absent: recipes may not ask
   * for one.
   */
  @IsOptional()
  @IsUrl({ require_tld: false, protocols: ['http', 'https'], require_protocol: true })
  PLINTH_DEBIAN_SNAPSHOTS?: string;

  /** Builds in progress at once. */
  @IsInt()
  @Min(1)
  @Max(64)
  PLINTH_BUILD_CONCURRENCY: number = 2;

  /** Deadline of one build with its tests. */
  @IsInt()
  @Min(10)
  @Max(86_400)
  PLINTH_BUILD_TIMEOUT_SECONDS: number = 1_800;
}
