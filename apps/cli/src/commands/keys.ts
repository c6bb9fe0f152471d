/** The key that signs images, and the public keys that hosts and storage nodes trust. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type List, type ListOptions, printList, withLocalList } from '../output/list.js';
import { printLine } from '../output/print.js';

const KEYS: List<{ readonly keyId: string; readonly file: string }> = {
  name: ({ keyId }) => keyId,
  columns: [
    { heading: 'KEY', cell: ({ keyId }) => keyId },
    { heading: 'FILE', cell: ({ file }) => file },
  ],
};

export function register(program: Command): void {
  const keys = program.command('keys').description('the key that signs images, and the public keys that are trusted');
  keys
    .command('init')
    .description('make a signing key and its public key; an existing key stays')
    .requiredOption('--out <directory>', 'gets signing/ for the image builder and trusted/ for hosts and storage nodes')
    .option(
      '--new',
      'a further key: the image builder signs with it from its next start, and the old one stays trusted',
    )
    .addHelpText(
      'after',
      '\nExample:\n  plinth keys init --out /etc/plinth/keys\n  plinth keys init --out /etc/plinth/keys --new',
    )
    .action(init);
  withLocalList(keys.command('ls'), KEYS)
    .description('the trusted keys of a directory; exit code 1 when one cannot be used')
    .argument('<directory>', 'what PLINTH_TRUSTED_KEYS names')
    .addHelpText(
      'after',
      '\nExamples:\n  plinth keys ls /etc/plinth/trusted-keys\n  plinth keys ls /etc/plinth/trusted-keys -o json',
    )
    .action(list);
}

async function init({ out, new: further }: { readonly out: string; readonly new?: boolean }): Promise<void> {
  const { createSigningKey, SigningKey } = await import('@plinth/image-trust');
  const file = join(resolve(out), 'signing', 'signing-key.pem');
  const trusted = join(resolve(out), 'trusted');
  const keyId =
    further || !existsSync(file) ? await createSigningKey(file, trusted) : (await SigningKey.open(file)).keyId;
  printLine(`images are signed with the key ${keyId}`);
  printLine(`copy ${file} to the image builder only, mode 0600: PLINTH_SIGNING_KEY`);
  printLine(`copy ${trusted}/ to every host and storage node: PLINTH_TRUSTED_KEYS`);
}

async function list(directory: string, options: ListOptions): Promise<void> {
  const { keyFileName, TrustedKeys } = await import('@plinth/image-trust');
  const { ClientError } = await import('@plinth/client');
  const keys = new TrustedKeys(resolve(directory));
  const problem = await keys.problem();
  if (problem !== undefined) throw new ClientError(problem, 'failed');
  const { trusted, problems } = await keys.survey();
  const rows = trusted.map((keyId) => ({ keyId, file: join(resolve(directory), keyFileName(keyId)) }));
  await printList(options, rows, KEYS);
  if (problems.length > 0) throw new ClientError(problems.join('\n'), 'failed');
}
