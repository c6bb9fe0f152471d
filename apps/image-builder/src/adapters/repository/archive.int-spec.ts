/**
 * Trees to manifests, archives and back: no kept attribute of an image is lost. Needs root: only root may set
 * capabilities.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CAPABILITY_ATTRIBUTE, type ManifestEntry } from '@plinth/contracts';
import { debianRootfs } from '@plinth/testkit';
import { LeftOut } from '../../domain/kept-attributes.js';
import { attribute, attributesOf, setAttribute } from '@plinth/host-os';
import { scanTree } from '../tree/tree-scan.js';
import { digestOfFile, extractArchive, packArchive } from './archive.js';

/** cap_setuid,cap_net_raw=ep, cap_net_admin=ep and cap_net_admin=p. */
const SETUID = '0100000280200000000000000000000000000000';
const ADMIN = '0100000200100000000000000000000000000000';
const ADMIN_BY_ITSELF = `00000002${ADMIN.slice(8)}`;
const { signal } = new AbortController();

let scratch: string;
let version: string;
let root: string;
let leftOut: LeftOut;
beforeEach(async () => {
  scratch = mkdtempSync(join(dirname(await debianRootfs()), 'archive-'));
  version = join(scratch, 'version');
  root = join(version, 'root');
  mkdirSync(version);
  writeFileSync(join(version, 'mount.sh'), '#!/bin/sh\n');
  leftOut = new LeftOut();
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const scan = (tree: string): Promise<ManifestEntry[]> =>
  scanTree(tree, {
    times: { sourceDateEpoch: 1_700_000_000, buildStarted: 1_700_000_000, strict: true },
    leftOut,
    signal,
    onProgress: () => undefined,
  });
const fileIn = (entries: readonly ManifestEntry[], path: string): ManifestEntry & { type: 'file' } =>
  entries.find((entry) => entry.path === path) as ManifestEntry & { type: 'file' };
async function roundTrip(entries: readonly ManifestEntry[]): Promise<{ again: ManifestEntry[]; directory: string }> {
  const archive = join(scratch, 'image.tar.zst');
  await packArchive(version, entries, archive, signal, () => undefined);
  const directory = join(scratch, 'unpacked');
  await extractArchive(archive, await digestOfFile(archive), directory, signal);
  return { again: await scan(join(directory, 'root')), directory };
}

describe('an archive', () => {
  it('keeps the names of one file and its capability, and leaves other attributes out', async () => {
    mkdirSync(join(root, 'usr/bin'), { recursive: true });
    writeFileSync(join(root, 'usr/bin/perl'), 'perl', { mode: 0o755 });
    linkSync(join(root, 'usr/bin/perl'), join(root, 'usr/bin/perl5'));
    linkSync(join(root, 'usr/bin/perl'), join(root, 'perl'));
    symlinkSync('perl', join(root, 'link'));
    linkSync(join(root, 'link'), join(root, 'link2'));
    for (const [name, hex] of Object.entries({ admin: ADMIN, itself: ADMIN_BY_ITSELF })) {
      writeFileSync(join(root, name), name);
      setAttribute(join(root, name), CAPABILITY_ATTRIBUTE, Buffer.from(hex, 'hex'));
    }
    setAttribute(join(root, 'perl'), CAPABILITY_ATTRIBUTE, Buffer.from(SETUID, 'hex'));
    setAttribute(join(root, 'perl'), 'trusted.note', Buffer.from('x'));
    setAttribute(join(root, 'usr'), 'trusted.overlay.opaque', Buffer.from('y'));

    const entries = await scan(root);
    expect(fileIn(entries, 'perl')).toMatchObject({ size: 4, capability: SETUID });
    for (const path of ['usr/bin/perl', 'usr/bin/perl5'])
      expect(fileIn(entries, path)).toEqual({ ...fileIn(entries, 'perl'), path, link: 'perl' });
    expect(fileIn(entries, 'itself').capability).toBe(ADMIN_BY_ITSELF);
    expect(fileIn(entries, 'admin').capability).toBeUndefined();
    expect(attributesOf(join(root, 'admin'))).toEqual([]);
    expect(leftOut.lines()).toEqual([
      'extended attributes that images do not keep: 3 ("security.capability" 1, "trusted.note" 1, "trusted.overlay.opaque" 1)',
      expect.stringContaining('/admin (cap_net_admin=ep)'),
    ]);

    const { again, directory } = await roundTrip(entries);
    expect(again).toEqual(entries);
    const unpacked = (path: string): string => join(directory, 'root', path);
    expect(lstatSync(unpacked('usr/bin/perl5'))).toMatchObject({ nlink: 3, ino: lstatSync(unpacked('perl')).ino });
    expect(attribute(unpacked('usr/bin/perl'), CAPABILITY_ATTRIBUTE).toString('hex')).toBe(SETUID);
    expect(attributesOf(unpacked('perl'))).toEqual([CAPABILITY_ATTRIBUTE]);
    expect(attributesOf(unpacked('usr'))).toEqual([]);
  });

  it('refuses a capability of another machine', async () => {
    mkdirSync(root);
    writeFileSync(join(root, 'a'), 'a');
    setAttribute(join(root, 'a'), CAPABILITY_ATTRIBUTE, Buffer.from(`01000003${SETUID.slice(8)}e8030000`, 'hex'));
    await expect(scan(root)).rejects.toMatchObject({
      reason: 'unsafe-tree',
      message: expect.stringMatching(/user namespace/),
    });
  });

  it('of a Debian tree has its hard links once and its capabilities', async () => {
    execFileSync('cp', ['--archive', '--one-file-system', await debianRootfs(), root]);
    copyFileSync(join(root, 'bin/cat'), join(root, 'usr/bin/ping'));
    setAttribute(join(root, 'usr/bin/ping'), CAPABILITY_ATTRIBUTE, Buffer.from(SETUID, 'hex'));
    const entries = await scan(root);
    const links = entries.filter((entry) => entry.type === 'file' && entry.link !== undefined);
    const names = execFileSync('find', [root, '-type', 'f', '-links', '+1', '-printf', '%i\n'], { encoding: 'utf8' });
    const inodes = names.trim().split('\n');
    expect(fileIn(entries, 'usr/bin/perl5.36.0').link).toBe('usr/bin/perl');
    expect(links.length).toBe(inodes.length - new Set(inodes).size);
    expect(links.length).toBeGreaterThan(0);
    expect(entries.filter((entry) => entry.type === 'file' && entry.capability !== undefined)).toHaveLength(1);
    const { again, directory } = await roundTrip(entries);
    expect(again).toEqual(entries);
    const [perl, other] = ['perl', 'perl5.36.0'].map((name) => join(directory, 'root/usr/bin', name));
    expect(lstatSync(perl ?? '').ino).toBe(lstatSync(other ?? '').ino);
    expect(readFileSync(perl ?? '').equals(readFileSync(join(root, 'usr/bin/perl')))).toBe(true);
  });
});
