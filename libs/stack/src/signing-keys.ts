/**
 * The key that signs images, and the folder of public keys that storage nodes and hosts trust; made at the first start.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createSigningKey } from '@plinth/image-trust';
import { signingKeyFile, trustedKeysDirectory } from './stack-plan.js';

/** Where it was kept before it had a directory of its own. */
const FORMER_FILE = 'keys/signing-key.pem';

export async function ensureSigningKeys(home: string): Promise<void> {
  const file = signingKeyFile(home);
  if (existsSync(file)) return;
  const former = join(home, FORMER_FILE);
  if (existsSync(former)) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    renameSync(former, file);
  } else await createSigningKey(file, trustedKeysDirectory(home));
}
