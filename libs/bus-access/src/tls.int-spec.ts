/** The written server configuration as it is, with TLS on both sides and certificates of a throw-away authority. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { endProcess, freePort, type ProcessIdentity, spawnServer, waitUntilReady } from '@plinth/local-servers';
import { type BusCredentials, connectNatsOnce } from '@plinth/service-kit';
import { type ScratchDirectory, scratchDirectory, startNats, type TestServer } from '@plinth/testkit';
import { member } from './testing/guarded-bus.js';
import { accessFile, addMembers, ensureServerConfig, seedFile } from './access-directory.js';

let scratch: ScratchDirectory;
let server: ProcessIdentity;
let plain: TestServer;
let url = '';
const file = (name: string): string => join(scratch.path, name);
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: scratch.path, stdio: 'pipe' });

function makeAuthority(name: string): void {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '1',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
  );
}

function makeCertificate(name: string, extension: string): void {
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
  );
  writeFileSync(file(`${name}.ext`), extension);
  openssl(
    'x509',
    '-req',
    '-days',
    '1',
    '-in',
    `${name}.csr`,
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  );
}

beforeAll(async () => {
  scratch = scratchDirectory('plinth-tls-');
  makeAuthority('ca');
  makeAuthority('other-ca');
  makeCertificate('server', 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n');
  makeCertificate('client', 'extendedKeyUsage=clientAuth\n');
  const directory = file('access');
  addMembers(directory, [member('provisioner'), member('image-builder'), member('operator')]);
  const port = await freePort();
  const config = ensureServerConfig(directory, {
    listen: `127.0.0.1:${port}`,
    storeDirectory: file('store'),
    tls: { certFile: file('server.pem'), keyFile: file('server.key'), caFile: file('ca.pem') },
  });
  // By name: the client checks names only.
  url = `nats://localhost:${port}`;
  server = await spawnServer({ argv: ['nats-server', '-c', config], logFile: file('nats.log'), life: 'bound' });
  await waitUntilReady('nats-server', server, file('nats.log'), 20_000, () =>
    enters().then((entered) => entered === 'in'),
  );
  plain = await startNats([accessFile(directory)]);
});
afterAll(async () => {
  await endProcess(server, 'SIGTERM', 5_000);
  await plain?.stop();
  scratch?.stop();
});

/** `in`, or why not. */
async function enters(change: Partial<BusCredentials> = {}, to = url): Promise<string> {
  const credentials = {
    nkeyFile: seedFile(file('access'), member('operator')),
    tlsCa: file('ca.pem'),
    tlsCert: file('client.pem'),
    tlsKey: file('client.key'),
    ...change,
  };
  try {
    const connection = await connectNatsOnce({ url: to, name: 'test', credentials });
    await connection.flush();
    await connection.close();
    return 'in';
  } catch (error) {
    return error instanceof Error ? error.message || String(error) : String(error);
  }
}

it('lets in a client that has a key and a certificate and trusts the authority', async () => {
  expect(await enters()).toBe('in');
});

it.each<[string, Partial<BusCredentials>]>([
  [
    'trusts another authority',
    {
      get tlsCa() {
        return file('other-ca.pem');
      },
    },
  ],
  ['trusts the usual authorities only', { tlsCa: undefined }],
  ['has no certificate', { tlsCert: undefined, tlsKey: undefined }],
  ['knows nothing of TLS', { tlsCa: undefined, tlsCert: undefined, tlsKey: undefined }],
  ['has a certificate but no key of a user', { nkeyFile: undefined }],
])('does not let in who %s', async (_, change) => {
  expect(await enters({ ...change })).not.toBe('in');
});

it('does not connect to a server that offers no TLS', async () => {
  expect(await enters({}, plain.url)).not.toBe('in');
  expect(await enters({ tlsCa: undefined, tlsCert: undefined, tlsKey: undefined }, plain.url)).toBe('in');
});

it('requires a certificate and its key together', async () => {
  expect(await enters({ tlsKey: undefined })).toContain('belong together');
});
