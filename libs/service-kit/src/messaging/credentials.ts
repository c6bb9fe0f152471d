/**
 * How a process logs in to NATS and which servers it trusts there: everything is a file, so that no secret is in an
 * environment or on a command line.
 */
import { readFileSync, statSync } from 'node:fs';
import { type Authenticator, type ConnectionOptions, credsAuthenticator } from 'nats';
import { nkeyLogin } from './nkey-login.js';

export interface BusCredentials {
  /** File with an nkey seed (`SU…`), readable by its owner only. */
  readonly nkeyFile?: string;
  /** File with a JWT and its seed, for servers with a resolver. */
  readonly credsFile?: string;
  /** PEM files. With a CA the connection must be TLS, and the server's certificate must come from it. */
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** A credential that can't be used; the message names the file, never what is in it. */
export class CredentialsError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CredentialsError';
  }
}

const SEED = /^SU[A-Z2-7]{56}$/;

/** Field names are those of the environment. */
export function credentialsFrom(source: {
  readonly NATS_NKEY_FILE?: string;
  readonly NATS_CREDS?: string;
  readonly NATS_TLS_CA?: string;
  readonly NATS_TLS_CERT?: string;
  readonly NATS_TLS_KEY?: string;
}): BusCredentials {
  const given = (value: string | undefined): string | undefined => (value === '' ? undefined : value);
  return {
    nkeyFile: given(source.NATS_NKEY_FILE),
    credsFile: given(source.NATS_CREDS),
    tlsCa: given(source.NATS_TLS_CA),
    tlsCert: given(source.NATS_TLS_CERT),
    tlsKey: given(source.NATS_TLS_KEY),
  };
}

/** Whether the process logs in as a user: then it may do only what that user may. */
export function hasLogin(credentials: BusCredentials): boolean {
  return credentials.nkeyFile !== undefined || credentials.credsFile !== undefined;
}

/** @throws CredentialsError when a file is missing, open to others or not what it should be */
export function loginOptions(credentials: BusCredentials): Pick<ConnectionOptions, 'authenticator' | 'tls'> {
  return { authenticator: authenticator(credentials), ...tlsOptions(credentials) };
}

function authenticator({ nkeyFile, credsFile }: BusCredentials): Authenticator | undefined {
  if (nkeyFile !== undefined && credsFile !== undefined)
    throw new CredentialsError('NATS_NKEY_FILE and NATS_CREDS are both set; set one of them');
  if (nkeyFile !== undefined) {
    readSeed(nkeyFile);
    // The file is read again at each connection: a rotated key needs no restart.
    return (nonce?: string) => nkeyLogin(readSeed(nkeyFile), nonce);
  }
  return credsFile === undefined ? undefined : credsAuthenticator(readSecret(credsFile));
}

function readSeed(file: string): string {
  const seed = readSecret(file).toString('latin1').trim();
  if (!SEED.test(seed)) throw new CredentialsError(`${file} does not hold the nkey seed of a user`);
  return seed;
}

/** A small secret from a file that only its owner may read. @throws CredentialsError */
export function readSecret(file: string): Buffer {
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0)
      throw new CredentialsError(`${file} can be read by others; it is a secret: chmod 600 ${file}`);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof CredentialsError) throw error;
    throw new CredentialsError(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function tlsOptions({ tlsCa, tlsCert, tlsKey }: BusCredentials): Pick<ConnectionOptions, 'tls'> {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return {};
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new CredentialsError('NATS_TLS_CERT and NATS_TLS_KEY belong together; one of them is missing');
  return { tls: { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey } };
}
