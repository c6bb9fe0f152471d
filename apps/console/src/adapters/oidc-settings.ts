/** How people sign in by an OpenID provider, from the environment; complete, or refused at the start. */
import { ConfigError, readSecret } from '@plinth/service-kit';
import type { ConsoleConfig } from '../config.js';
import type { Viewer } from '../domain/access.js';
import { type GroupGrants, parseGrant, parseGroupGrants, type Parsed } from '../domain/provider-grant.js';

export interface OidcSettings {
  readonly issuer: URL;
  readonly clientId: string;
  /** Read again when it is needed: another secret needs no restart. */
  readonly secret: () => string;
  /** As people know the provider. */
  readonly name: string;
  readonly scopes: string;
  readonly nameClaim: string | undefined;
  readonly groupsClaim: string;
  readonly groups: GroupGrants;
  readonly fallback: Viewer | undefined;
  /** The console's own address. */
  readonly console: URL;
}

/** Token of the {@link OidcSettings}; null: there is no provider. */
export const OIDC_SETTINGS = Symbol('oidc-settings');

const REQUIRED = ['PLINTH_CONSOLE_OIDC_CLIENT_ID', 'PLINTH_CONSOLE_OIDC_SECRET_FILE', 'PLINTH_CONSOLE_URL'] as const;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * @returns null: no issuer is set
 * @throws ConfigError naming all that is missing or wrong
 * @throws CredentialsError when the secret can't be read, or by others too
 */
export function oidcSettings(config: ConsoleConfig): OidcSettings | null {
  const {
    PLINTH_CONSOLE_OIDC_ISSUER: issuer,
    PLINTH_CONSOLE_OIDC_GROUPS: groups,
    PLINTH_CONSOLE_OIDC_DEFAULT_ROLE: role,
  } = config;
  if (issuer === undefined) {
    const alone = [...REQUIRED.slice(0, 2), 'PLINTH_CONSOLE_OIDC_GROUPS', 'PLINTH_CONSOLE_OIDC_DEFAULT_ROLE'] as const;
    const useless = alone.filter((name) => config[name] !== undefined);
    if (useless.length > 0)
      throw new ConfigError([`PLINTH_CONSOLE_OIDC_ISSUER must be set beside ${useless.join(', ')}`]);
    return null;
  }
  const problems: string[] = REQUIRED.filter((name) => config[name] === undefined).map(
    (name) => `${name} must be set beside PLINTH_CONSOLE_OIDC_ISSUER`,
  );
  const { protocol, hostname } = new URL(issuer);
  if (protocol === 'http:' && !LOOPBACK.test(hostname))
    problems.push('PLINTH_CONSOLE_OIDC_ISSUER must be https:, unless the provider is on loopback');
  if (groups === undefined && role === undefined)
    problems.push(
      'PLINTH_CONSOLE_OIDC_GROUPS must map groups to roles, such as plinth-admins=admin, or PLINTH_CONSOLE_OIDC_DEFAULT_ROLE be set; else nobody gets in',
    );
  const valueOf = <T>(name: string, parsed: Parsed<T> | undefined): T | undefined => {
    if (parsed?.ok === false) problems.push(`${name}: ${parsed.message}`);
    return parsed?.ok ? parsed.value : undefined;
  };
  const mapped = valueOf('PLINTH_CONSOLE_OIDC_GROUPS', groups === undefined ? undefined : parseGroupGrants(groups));
  const fallback = valueOf('PLINTH_CONSOLE_OIDC_DEFAULT_ROLE', role === undefined ? undefined : parseGrant(role));
  if (problems.length > 0) throw new ConfigError(problems);
  const file = config.PLINTH_CONSOLE_OIDC_SECRET_FILE ?? '';
  const secret = (): string => {
    const [line = ''] = readSecret(file).toString('utf8').split('\n');
    if (line.trim() === '') throw new ConfigError([`${file} is empty; PLINTH_CONSOLE_OIDC_SECRET_FILE holds a secret`]);
    return line.trim();
  };
  // Once at the start: a secret that others can read is refused then.
  secret();
  return {
    issuer: new URL(issuer),
    clientId: config.PLINTH_CONSOLE_OIDC_CLIENT_ID ?? '',
    secret,
    name: config.PLINTH_CONSOLE_OIDC_NAME,
    scopes: config.PLINTH_CONSOLE_OIDC_SCOPES,
    nameClaim: config.PLINTH_CONSOLE_OIDC_NAME_CLAIM,
    groupsClaim: config.PLINTH_CONSOLE_OIDC_GROUPS_CLAIM,
    groups: mapped ?? [],
    fallback,
    console: new URL(config.PLINTH_CONSOLE_URL ?? ''),
  };
}
