/** The console's environment. */
import { NAME_PATTERN } from '@plinth/contracts';
import { ServiceConfig } from '@plinth/service-kit';
import { IsInt, IsOptional, IsString, IsUrl, Matches, Max, Min, MinLength } from 'class-validator';

const ABSOLUTE = /^\/(?!\.\.?(?:\/|$))[^\0]*$/;

export class ConsoleConfig extends ServiceConfig {
  @IsString()
  @MinLength(1)
  DATABASE_URL!: string;

  /** Name of this copy, as the bus knows it: its key and its consumer have it. */
  @Matches(NAME_PATTERN, { message: 'PLINTH_CONSOLE must be a name: lower-case letters, digits and hyphens' })
  PLINTH_CONSOLE: string = '1';

  /**
   * Where browsers reach it, e.g. `https://plinth.example.org`: requests with another `Host` or `Origin` are refused,
   * and with `https:` the cookie is sent over TLS only. Absent: browsers of this machine, by any of its own names.
   */
  @IsOptional()
  @IsUrl({
    require_tld: false,
    protocols: ['http', 'https'],
    require_protocol: true,
    allow_query_components: false,
    allow_fragments: false,
    disallow_auth: true,
  })
  PLINTH_CONSOLE_URL?: string;

  /** File with the secret, mode 0600, by which `plinth console` makes one-time links; absent: there are none. */
  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_CONSOLE_LINK_FILE must be an absolute path' })
  PLINTH_CONSOLE_LINK_FILE?: string;

  /**
   * Directory with `acts-admin.nk`, `acts-operator.nk` and `acts-developer.nk`, mode 0600: by these keys it publishes what
   * people of the role ask for. Absent: it shows only, unless the bus has no access control.
   */
  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_CONSOLE_ACTS_DIR must be an absolute path' })
  PLINTH_CONSOLE_ACTS_DIR?: string;

  /** Minutes without a request until a session ends. */
  @IsInt()
  @Min(1)
  @Max(24 * 60)
  PLINTH_CONSOLE_IDLE_MINUTES: number = 30;

  /** Hours after which a session ends in any case. */
  @IsInt()
  @Min(1)
  @Max(168)
  PLINTH_CONSOLE_SESSION_HOURS: number = 12;

  /** Streams that may be open at once; others are refused with 503. */
  @IsInt()
  @Min(1)
  @Max(200)
  PLINTH_CONSOLE_STREAMS: number = 150;
}
