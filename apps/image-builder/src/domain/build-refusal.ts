/** Why a build or test ended without an image: thrown by its steps, turned into `image.rejected` by the runner. */
import type { ImageRejectionReason } from '@plinth/contracts';

export class BuildRefusal extends Error {
  constructor(
    readonly reason: ImageRejectionReason,
    message: string,
    readonly details: { readonly failedTest?: string; readonly logTail?: string; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = 'BuildRefusal';
  }
}

/** Classifies the last lines of an error of apt, mmdebstrap or the kernel. */
export function classifyPackageFailure(output: string): {
  readonly reason: ImageRejectionReason;
  readonly message: string;
} {
  const missing = new Set<string>();
  for (const pattern of [
    /E: Unable to locate package (\S+)/g,
    /E: Package '?([^'\s]+)'? has no installation candidate/g,
    /E: Version '[^']*' for '([^']+)' was not found/g,
    /E: Couldn't find any package by (?:glob|regex) '([^']+)'/g,
  ]) {
    for (const match of output.matchAll(pattern)) if (match[1]) missing.add(match[1]);
  }
  if (missing.size > 0) {
    const names = [...missing].join(', ');
    return {
      reason: 'package-not-found',
      message: `no such package in the suite: ${names}; check the name, the suite and its components`,
    };
  }
  if (/No space left on device/.test(output)) return { reason: 'no-space', message: 'the disk of the builder is full' };
  if (/NO_PUBKEY|is not signed|signatures? (?:were|was|couldn't be|is) (?:invalid|verified)/.test(output)) {
    return {
      reason: 'source-mismatch',
      message:
        'the package archive is not signed by a key of the installed debian-archive-keyring; ' +
        'update that package on the builder',
    };
  }
  if (/does not have a Release file|404 +Not Found/.test(output))
    return {
      reason: 'source-unavailable',
      message: 'the mirror does not have this suite or one of its files; check mirror, suite and components',
    };
  if (
    /Could not resolve|Failed to fetch|Could not connect|Connection (?:failed|refused|timed out)|Temporary failure|Unable to connect/.test(
      output,
    )
  ) {
    return { reason: 'source-unavailable', message: 'the mirror could not be reached; try again when it answers' };
  }
  if (/unmet dependencies|held broken packages|Conflicts:/.test(output))
    return { reason: 'build-command-failed', message: 'the packages cannot be installed together' };
  return { reason: 'build-command-failed', message: 'the packages could not be installed' };
}
