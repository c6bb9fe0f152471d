/**
 * Unpacks foreign tarballs and OCI layers into an image's tree. Names, links, owners, types and sizes in them are
 * untrusted: every path is resolved inside the tree, nothing is ever written through a link out of it, and no device,
 * fifo or socket is made.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, createReadStream } from 'node:fs';
import { chmod, lchown, link, lstat, lutimes, mkdir, open, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { CAPABILITY_ATTRIBUTE, MANIFEST_LIMITS, readCapability } from '@plinth/contracts';
import { extract, type Header as TarHeader } from 'tar-stream';
import { BuildRefusal } from '../../domain/build-refusal.js';
import { LeftOut } from '../../domain/kept-attributes.js';
import { pathProblem } from '../../domain/recipe-paths.js';
import { setAttribute } from '@plinth/host-os';
import { ImageTree, isMissing } from '../tree/image-tree.js';
import { BASE_ENVIRONMENT } from '../tools/process.js';
import { attributeName, keepRawValues, type RawValues } from './pax-values.js';

/** `layer`: `.wh.` names remove what lower layers hold (OCI image-spec, layer.md). */
export type TarballKind = 'plain' | 'layer';

const MAX_BYTES = 64 * 1024 ** 3;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

type Header = Omit<TarHeader, 'pax' | 'type'> & {
  readonly type: string | null;
  readonly pax?: Readonly<Record<string, string>> | null;
};

export class TreeUnpacker {
  private entries = 0;
  private bytes = 0;
  /** Directory in the image → on the host; forgotten when anything is removed or replaced. */
  private readonly parents = new Map<string, string>();
  private directoryTimes: { path: string; mtime: number }[] = [];
  /** Attributes of members that were not taken. */
  readonly leftOut = new LeftOut();

  private constructor(private readonly tree: ImageTree) {}

  static async open(root: string): Promise<TreeUnpacker> {
    await mkdir(root, { mode: 0o755 });
    return new TreeUnpacker(new ImageTree(root));
  }

  async add(tarball: string, kind: TarballKind, signal: AbortSignal): Promise<void> {
    const reader = extract();
    const rawValues = keepRawValues(reader);
    const content = await decompressed(tarball, signal);
    const feeding = pipeline(content, reader, { signal });
    // Its failure ends the iteration below as well, where it is handled.
    feeding.catch(() => undefined);
    try {
      for await (const entry of reader) {
        await this.entry(entry.header as Header, rawValues(entry.header.pax), entry as AsyncIterable<Uint8Array>, kind);
        entry.resume();
      }
      await feeding;
    } catch (error) {
      content.destroy();
      signal.throwIfAborted();
      if (error instanceof BuildRefusal || typeof (error as NodeJS.ErrnoException).syscall === 'string') throw error;
      throw new BuildRefusal('source-mismatch', `the tarball can't be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
    for (const { path, mtime } of this.directoryTimes.reverse()) await lutimes(path, mtime, mtime).catch(unlessMissing);
    this.directoryTimes = [];
  }

  private async entry(
    header: Header,
    raw: RawValues,
    content: AsyncIterable<Uint8Array>,
    kind: TarballKind,
  ): Promise<void> {
    const path = header.name.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
    if (path === '' || path === '.') return;
    const refuse = (why: string): BuildRefusal =>
      new BuildRefusal('unsafe-tree', `the tarball has ${JSON.stringify(header.name.slice(0, 200))}, which ${why}`);
    const problem = path.includes('�') ? 'must be UTF-8' : pathProblem(`/${path}`);
    if (problem !== undefined) throw refuse(problem);
    if (++this.entries > MANIFEST_LIMITS.entries)
      throw refuse(`is beyond the ${MANIFEST_LIMITS.entries} entries an image may have`);
    this.bytes += header.size;
    if (this.bytes > MAX_BYTES) throw refuse(`is beyond the ${MAX_BYTES} bytes an image may have`);
    if (Object.keys(header.pax ?? {}).some((key) => key.startsWith('GNU.sparse')))
      throw refuse('is a sparse file; pack the tarball without --sparse');

    const name = basename(path);
    if (kind === 'layer' && name.startsWith(WHITEOUT)) return this.whiteOut(dirname(path), name, refuse);
    const { type } = header;
    if (type === 'character-device' || type === 'block-device' || type === 'fifo') {
      // Containers get their own /dev; what usual tarballs hold there is left out.
      if (path === 'dev' || path.startsWith('dev/')) return;
      throw refuse(`is a ${type}`);
    }
    const target = join(await this.parent(dirname(path)), name);
    switch (type) {
      case 'directory':
        for (const keyword of raw.keys()) this.leaveOut(attributeName(keyword));
        return this.directory(target, header, refuse);
      case 'file':
      case 'contiguous-file':
        await this.clear(target);
        await this.file(target, header, content, refuse);
        return this.keepAttributes(target, raw, refuse);
      case 'symlink':
        await this.clear(target);
        await symlink(header.linkname, target);
        return this.attributes(target, header, refuse, true);
      case 'link':
        return this.hardLink(target, header.linkname, refuse);
      default:
        throw refuse(`is of the unknown type ${String(type)}`);
    }
  }

  /** Capabilities come last, because a change of the owner clears them. */
  private keepAttributes(target: string, raw: RawValues, refuse: (why: string) => BuildRefusal): void {
    for (const [keyword, value] of raw) {
      const name = attributeName(keyword);
      if (name !== CAPABILITY_ATTRIBUTE) {
        this.leaveOut(name);
        continue;
      }
      const read = readCapability(value);
      if (!read.ok) throw refuse(`has a file capability that ${read.problem}`);
      setAttribute(target, name, Buffer.from(read.hex, 'hex'));
    }
  }

  private leaveOut(attribute: string | undefined): void {
    if (attribute !== undefined) this.leftOut.attribute(attribute);
  }

  private async parent(path: string): Promise<string> {
    const known = this.parents.get(path);
    if (known !== undefined) return known;
    const resolved = await this.tree.resolve(`/${path}`);
    await this.tree.directory(`/${path}`);
    this.parents.set(path, resolved);
    return resolved;
  }

  private async directory(target: string, header: Header, refuse: (why: string) => BuildRefusal): Promise<void> {
    const found = await lstat(target).catch(unlessMissing);
    if (!found?.isDirectory()) {
      await this.clear(target);
      await mkdir(target);
    }
    await this.attributes(target, header, refuse, false);
    this.directoryTimes.push({ path: target, mtime: modified(header) });
  }

  private async file(
    target: string,
    header: Header,
    content: AsyncIterable<Uint8Array>,
    refuse: (why: string) => BuildRefusal,
  ): Promise<void> {
    const file = await open(
      target,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      for await (const chunk of content) await file.writeFile(chunk);
    } finally {
      await file.close();
    }
    await this.attributes(target, header, refuse, false);
  }

  private async hardLink(target: string, linkname: string, refuse: (why: string) => BuildRefusal): Promise<void> {
    const path = linkname.replace(/^(?:\.?\/)+/, '');
    const problem = pathProblem(`/${path}`);
    if (problem !== undefined) throw refuse(`is a hard link to a path that ${problem}`);
    const original = join(await this.parent(dirname(path)), basename(path));
    const found = await lstat(original).catch(unlessMissing);
    if (original === target) return;
    if (found && !found.isFile() && !found.isSymbolicLink())
      throw refuse('is a hard link to something else than a file');
    if (!found) throw refuse('is a hard link to a file that is not there');
    await this.clear(target);
    await link(original, target);
  }

  private async attributes(
    target: string,
    header: Header,
    refuse: (why: string) => BuildRefusal,
    isLink: boolean,
  ): Promise<void> {
    const uid = Number(header.pax?.['uid'] ?? header.uid);
    const gid = Number(header.pax?.['gid'] ?? header.gid);
    for (const id of [uid, gid]) {
      if (!Number.isSafeInteger(id) || id < 0 || id > MANIFEST_LIMITS.ownerId)
        throw refuse(`belongs to ${uid}:${gid}; ids go up to ${MANIFEST_LIMITS.ownerId}`);
    }
    await lchown(target, uid, gid);
    if (!isLink) await chmod(target, header.mode & 0o7777);
    await lutimes(target, modified(header), modified(header));
  }

  private async clear(target: string): Promise<void> {
    const found = await lstat(target).catch(unlessMissing);
    if (!found) return;
    await rm(target, { recursive: true, force: true });
    this.parents.clear();
  }

  private async whiteOut(directory: string, name: string, refuse: (why: string) => BuildRefusal): Promise<void> {
    const hidden = name.slice(WHITEOUT.length);
    // `.wh...` would remove the directory above.
    if (pathProblem(`/${hidden}`) !== undefined) throw refuse('hides nothing that could be a file');
    const parent = await this.parent(directory);
    this.parents.clear();
    if (name !== OPAQUE) {
      await rm(join(parent, hidden), { recursive: true, force: true });
      return;
    }
    await rm(parent, { recursive: true, force: true });
    await mkdir(parent, { recursive: true, mode: 0o755 });
  }
}

function modified(header: Header): number {
  const seconds = Math.floor(Number(header.pax?.['mtime'] ?? header.mtime.getTime() / 1000));
  return Number.isSafeInteger(seconds) ? Math.min(Math.max(seconds, 0), MANIFEST_LIMITS.mtime) : 0;
}

function unlessMissing(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw error;
}

const MAGIC: readonly { readonly bytes: readonly number[]; readonly argv: readonly string[] }[] = [
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], argv: ['zstd', '-dcq', '--memory=256MB'] },
  { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], argv: ['xz', '-dcq', '--memlimit=512MiB'] },
];

/** The tar inside; the first bytes, not the name, determine its compression. */
async function decompressed(path: string, signal: AbortSignal): Promise<Readable> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const head = Buffer.alloc(6);
  await file.read(head, 0, head.length, 0);
  await file.close();
  const packed = createReadStream(path);
  const starts = (bytes: readonly number[]): boolean => bytes.every((byte, index) => head[index] === byte);
  if (starts([0x1f, 0x8b])) {
    const gunzip = createGunzip();
    packed.on('error', (error) => gunzip.destroy(error));
    return packed.pipe(gunzip);
  }
  const program = MAGIC.find(({ bytes }) => starts(bytes));
  return program ? filtered(packed, program.argv, signal) : packed;
}

function filtered(packed: Readable, argv: readonly string[], signal: AbortSignal): Readable {
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...BASE_ENVIRONMENT },
    signal,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close') as Promise<[number | null]>;
  // Its exit status reports members that it did not read.
  pipeline(packed, child.stdin).catch(() => undefined);
  const output = async function* (): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
      const [code] = await closed;
      if (code !== 0) throw new Error(`${program} could not unpack it`);
    } finally {
      child.kill('SIGKILL');
    }
  };
  closed.catch(() => undefined);
  return Readable.from(output(), { objectMode: false });
}
