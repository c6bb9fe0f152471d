/** Validated environment: one class per service, every error at once, values never printed. */
import 'reflect-metadata';
import { plainToInstance } from 'class-transformer';
import {
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
  validateSync,
} from 'class-validator';

/** What every service reads. Field names are the names of the environment variables. */
export class ServiceConfig {
  /** Comma-separated NATS server URLs. */
  @IsString()
  @MinLength(1)
  NATS_URL: string = 'nats://127.0.0.1:4222';

  /**
   * File with the nkey seed this service logs in with, mode 0600; absent: NATS_CREDS, or a server without access
   * control.
   */
  @IsOptional()
  @IsString()
  NATS_NKEY_FILE?: string;

  /** File with a JWT and its seed, mode 0600. */
  @IsOptional()
  @IsString()
  NATS_CREDS?: string;

  /** PEM file: the connection must be TLS, with a certificate from this authority. */
  @IsOptional()
  @IsString()
  NATS_TLS_CA?: string;

  /** PEM files: who we are, where the server asks for it. */
  @IsOptional()
  @IsString()
  NATS_TLS_CERT?: string;

  @IsOptional()
  @IsString()
  NATS_TLS_KEY?: string;

  /**
   * Servers of a cluster that hold each stream; read by the service that makes the streams. Absent: 1, and streams that
   * are there stay as they are.
   */
  @IsOptional()
  @IsIn([1, 3, 5])
  PLINTH_BUS_REPLICAS?: number;

  /** Unique among the running copies, e.g. `provisioner-1`. */
  @Matches(/^[a-z0-9][a-z0-9-]{0,62}$/)
  PLINTH_SERVICE_ID!: string;

  /** Health and metrics. 0: any free port. */
  @IsInt()
  @Min(0)
  @Max(65_535)
  PLINTH_HTTP_PORT: number = 0;

  @IsString()
  @MaxLength(255)
  PLINTH_HTTP_HOST: string = '127.0.0.1';

  @IsOptional()
  @IsIn(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
  LOG_LEVEL: string = 'info';
}

export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/**
 * Reads a config class from the environment. Numbers and booleans are converted by the type of the field.
 * @throws ConfigError naming every wrong or missing variable, never its value.
 */
export function loadConfig<T extends ServiceConfig>(
  shape: new () => T,
  env: Readonly<Record<string, string | undefined>>,
): T {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const config = plainToInstance(shape, given, { enableImplicitConversion: true, exposeDefaultValues: true });
  const errors = validateSync(config, { whitelist: true, forbidUnknownValues: true });
  if (errors.length > 0) {
    throw new ConfigError(
      errors.flatMap((error) => Object.values(error.constraints ?? { unknown: `${error.property} is wrong` })),
    );
  }
  return config;
}
