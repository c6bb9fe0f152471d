import { describe, expect, it } from '@jest/globals';
import { classifyPackageFailure } from './build-refusal.js';

describe('classifyPackageFailure', () => {
  it.each<[string, string, RegExp]>([
    [
      'E: Unable to locate package no-such\nE: Unable to locate package nor-this',
      'package-not-found',
      /no-such, nor-this/,
    ],
    ["E: Package 'old' has no installation candidate", 'package-not-found', /old/],
    ["E: Version '1' for 'curl' was not found", 'package-not-found', /curl/],
    ["E: Couldn't find any package by glob 'x*'", 'package-not-found', /x\*/],
    ["E: The repository 'http://x nosuite Release' does not have a Release file.", 'source-unavailable', /suite/],
    ["Err:1 http://x bookworm InRelease\n  Could not resolve 'x'", 'source-unavailable', /reached/],
    ['W: GPG error: NO_PUBKEY 6ED0E7B82643E131', 'source-mismatch', /debian-archive-keyring/],
    ['tar: ./usr: Cannot write: No space left on device', 'no-space', /disk/],
    ['E: Unable to correct problems, you have held broken packages.', 'build-command-failed', /together/],
    ['dpkg: error', 'build-command-failed', /could not be installed/],
  ])('%s', (output, reason, message) => {
    expect(classifyPackageFailure(output)).toEqual({ reason, message: expect.stringMatching(message) });
  });
});
