/** The console of a stack: where it is, and a link that signs a person in once. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CONSOLE_LINK_SECONDS, type ConsoleLink, sealConsoleLink } from '@plinth/contracts';
import type { StackFile } from './stack-file.js';
import { consoleLinkFile } from './stack-plan.js';

/** Ends before the console would refuse it for a clock that is behind. */
const MARGIN_SECONDS = 1;

export function ensureConsoleSecret(home: string): void {
  const file = consoleLinkFile(home);
  if (existsSync(file)) return;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, randomBytes(32), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** @returns undefined: the stack has no console */
export function consoleAddress({ services }: StackFile): string | undefined {
  const port = services.find(({ name }) => name === 'console')?.environment.PLINTH_HTTP_PORT;
  return port === undefined ? undefined : `http://127.0.0.1:${port}`;
}

/**
 * Works once, within a minute.
 * @param secretFile as the console has it in PLINTH_CONSOLE_LINK_FILE
 */
export function consoleLink(
  address: string,
  secretFile: string,
  person: Pick<ConsoleLink, 'user' | 'role' | 'tenants'>,
): string {
  const until = Math.floor(Date.now() / 1000) + CONSOLE_LINK_SECONDS - MARGIN_SECONDS;
  const link = { ...person, id: randomBytes(16).toString('hex'), until };
  // Behind the #, which browsers send to nobody: no log has it.
  return `${address}/sign-in#link=${sealConsoleLink(link, readFileSync(secretFile))}`;
}
