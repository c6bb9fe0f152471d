/** The key that signs images, and the folder of keys that storage nodes and hosts trust; made at the first start. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { signingKeyFile, trustedKeysDirectory } from './stack-plan.js';

export function ensureSigningKeys(home: string): void {
  const file = signingKeyFile(home);
  if (existsSync(file)) return;
  const trusted = trustedKeysDirectory(home);
  mkdirSync(trusted, { recursive: true, mode: 0o755 });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha256').update(der).digest('hex').slice(0, 16);
  // The public key first: a signing key that nobody trusts would be worse than none.
  writeFileSync(join(trusted, `${keyId}.pem`), publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
  const fresh = join(dirname(file), `.signing-key.${process.pid}`);
  writeFileSync(fresh, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  renameSync(fresh, file);
}
