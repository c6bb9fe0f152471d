/** The console's environment. */
import { NAME_PATTERN } from '@plinth/contracts';
import { ServiceConfig } from '@plinth/service-kit';
import { IsInt, IsOptional, IsString, IsUrl, Matches, Max, MaxLength, Min, MinLength } from 'class-validator';

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

  /**
   * OpenID provider by which people sign in, as its discovery document names itself; http: on loopback only. With it
   * PLINTH_CONSOLE_URL, the client's id and secret, and groups or a default role have to be set.
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
  PLINTH_CONSOLE_OIDC_ISSUER?: string;

  @IsOptional()
  @IsString()
  @MaxLength(500)
  PLINTH_CONSOLE_OIDC_CLIENT_ID?: string;

  /** File with the client's secret on its first line, mode 0600; all copies have the same. */
  @IsOptional()
  @Matches(ABSOLUTE, { message: 'PLINTH_CONSOLE_OIDC_SECRET_FILE must be an absolute path' })
  PLINTH_CONSOLE_OIDC_SECRET_FILE?: string;

  /** As people know the provider. */
  @Matches(/^[^\p{C}]{1,60}$/u, { message: 'PLINTH_CONSOLE_OIDC_NAME must be 1 to 60 printable characters' })
  PLINTH_CONSOLE_OIDC_NAME: string = 'OpenID Connect';

  @Matches(/^(?=(?:.* )?openid(?: |$))[!-~]+(?: [!-~]+)*$/, {
    message: 'PLINTH_CONSOLE_OIDC_SCOPES must be scopes with spaces between them, openid among them',
  })
  PLINTH_CONSOLE_OIDC_SCOPES: string = 'openid profile email';

  /** Absent: the first of preferred_username, email and sub that can be a name. */
  @IsOptional()
  @IsString()
  @MaxLength(200)
  PLINTH_CONSOLE_OIDC_NAME_CLAIM?: string;

  @IsString()
  @MaxLength(200)
  PLINTH_CONSOLE_OIDC_GROUPS_CLAIM: string = 'groups';

  /** `plinth-admins=admin,team-acme=developer:acme+zeta`: the first group that a person is in counts. */
  @IsOptional()
  @IsString()
  @MaxLength(20_000)
  PLINTH_CONSOLE_OIDC_GROUPS?: string;

  /** Of people in none of the groups, such as `viewer`; absent: they are refused. */
  @IsOptional()
  @IsString()
  @MaxLength(2_000)
  PLINTH_CONSOLE_OIDC_DEFAULT_ROLE?: string;

  /** Streams that may be open at once; others are refused with 503. */
  @IsInt()
  @Min(1)
  @Max(200)
  PLINTH_CONSOLE_STREAMS: number = 150;
}
