/** What an operator makes once and brings to machines: logins of the bus, the signing key, the token of downloads. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  accessFile,
  addMembers,
  downloadTokenFile,
  ensureDownloadToken,
  type Member,
  seedFile,
} from '@plinth/bus-access';
import { createSigningKey } from '@plinth/image-trust';
import type { Machine } from '../machine.js';
import { DOWNLOAD_TOKEN, keyFile, type LabService, SIGNING_KEY, TRUSTED_KEYS } from './services.js';

const OPERATOR: Member = { kind: 'operator' };
const SECRET_MODE = 0o600;

/**
 * @param directory beside the lab's machines, which none of them sees
 * @returns a secret for the routes between bus servers
 */
export async function makeKeys(directory: string, services: readonly Pick<LabService, 'member'>[]): Promise<string> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  addMembers(directory, [...services.map(({ member }) => member), { kind: 'upstream' }, OPERATOR]);
  ensureDownloadToken(directory);
  await createSigningKey(join(directory, 'signing', 'signing-key.pem'), join(directory, 'trusted'));
  return randomBytes(24).toString('hex');
}

/** The machine gets what the service needs, and no more. */
export function bringKeys(directory: string, machine: Machine, { id, member, app }: LabService): void {
  const bring = (from: string, to: string, mode: number): void => machine.writeFile(to, readFileSync(from), mode);
  bring(seedFile(directory, member), keyFile(id), SECRET_MODE);
  if (app === 'provisioner') return;
  bring(downloadTokenFile(directory), DOWNLOAD_TOKEN, SECRET_MODE);
  if (app === 'image-builder') bring(join(directory, 'signing', 'signing-key.pem'), SIGNING_KEY, SECRET_MODE);
  else
    for (const name of readdirSync(join(directory, 'trusted')))
      bring(join(directory, 'trusted', name), join(TRUSTED_KEYS, name), 0o644);
}

export const accessRules = (directory: string): Buffer => readFileSync(accessFile(directory));
export const operatorSeed = (directory: string): Buffer => readFileSync(seedFile(directory, OPERATOR));
