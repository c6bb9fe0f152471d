/** The layers and the config of an image in an OCI image layout (image-spec 1.1), each checked against its digest. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildRefusal } from '../../domain/build-refusal.js';
import type { SourceSettings } from '../../domain/image-settings.js';
import { readOciConfig } from '../../domain/oci-image-config.js';

interface Descriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture?: string; readonly os?: string };
}

const MAX_JSON_BYTES = 4 * 1024 ** 2;
const MAX_LAYERS = 500;
const MAX_INDEX_DEPTH = 4;
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;

export interface OciImage {
  /** Paths, lowest first. */
  readonly layers: readonly string[];
  readonly settings: SourceSettings;
  /** Lines for the build's log. */
  readonly notes: readonly string[];
}

export async function openOciImage(layout: string, ref: string): Promise<OciImage> {
  const index = await readJson(join(layout, 'index.json'));
  const candidates = descriptors(index['manifests']);
  const found = candidates.find(
    (item) => item.digest === ref || item.annotations?.['org.opencontainers.image.ref.name'] === ref,
  );
  if (!found) throw new BuildRefusal('source-unavailable', `the OCI layout has no image ${ref}`);
  const manifest = await manifestOf(layout, found, MAX_INDEX_DEPTH);
  // The config is small, and a mistake in it is found before gigabytes are read.
  const config = readOciConfig(await configOf(layout, manifest['config']));
  if (!config.ok) throw broken(`in its config, ${config.problem}`);
  const layers = descriptors(manifest['layers']);
  if (layers.length === 0 || layers.length > MAX_LAYERS) throw broken(`it must have 1 to ${MAX_LAYERS} layers`);
  const paths: string[] = [];
  for (const layer of layers) paths.push(await checkedBlob(layout, layer));
  return { layers: paths, settings: config.settings, notes: config.notes };
}

async function configOf(layout: string, value: unknown): Promise<Record<string, unknown>> {
  const [descriptor] = descriptors([value]);
  if (!descriptor) throw broken('its manifest names no config');
  if (descriptor.size > MAX_JSON_BYTES) throw broken('its config is too large');
  return readJson(await checkedBlob(layout, descriptor));
}

async function manifestOf(layout: string, descriptor: Descriptor, depth: number): Promise<Record<string, unknown>> {
  if (depth === 0) throw broken('its indexes are nested too deeply');
  const document = await readJson(await checkedBlob(layout, descriptor));
  if (document['manifests'] === undefined) return document;
  const matching = descriptors(document['manifests']).find(
    (item) =>
      item.platform === undefined || (item.platform.architecture === ARCHITECTURE && item.platform.os === 'linux'),
  );
  if (!matching) throw new BuildRefusal('source-unavailable', `the OCI image has no variant for linux/${ARCHITECTURE}`);
  return manifestOf(layout, matching, depth - 1);
}

async function checkedBlob(layout: string, descriptor: Descriptor): Promise<string> {
  const path = join(layout, 'blobs', 'sha256', descriptor.digest.slice('sha256:'.length));
  const hash = createHash('sha256');
  try {
    const found = await lstat(path);
    if (!found.isFile() || found.size !== descriptor.size) throw broken(`the size of ${descriptor.digest} is wrong`);
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw broken(`${descriptor.digest} is missing`);
    throw error;
  }
  if (`sha256:${hash.digest('hex')}` !== descriptor.digest) throw broken(`${descriptor.digest} is damaged`);
  return path;
}

function descriptors(value: unknown): Descriptor[] {
  if (!Array.isArray(value)) throw broken('a list of descriptors is missing');
  return value.map((item: unknown) => {
    const { digest, size } = (item ?? {}) as Partial<Descriptor>;
    // The digest becomes a file name.
    if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest) || !Number.isSafeInteger(size))
      throw broken('a descriptor is not valid');
    return item as Descriptor;
  });
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    const found = await lstat(path);
    if (!found.isFile() || found.size > MAX_JSON_BYTES) throw broken('a document of it is too large');
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
    throw broken('a document of it is not an object');
  } catch (error) {
    if (error instanceof SyntaxError) throw broken('a document of it is not JSON');
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw broken('index.json is missing');
    throw error;
  }
}

function broken(what: string): BuildRefusal {
  return new BuildRefusal('source-mismatch', `the OCI layout is broken: ${what}`);
}
