import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { readJson } from '../kernel/torn-file.js';
import type { ContainerSpec } from '../spec/container-spec.js';
import { etcLayer } from '../spec/etc-layer.js';
import type { OciConfig } from '../spec/oci-config.js';

/**
 * Writes a bundle: `config.json`, the layer over /etc, and the labels. Some ten small files, written synchronously
 * because that takes a quarter of a millisecond where the thread pool takes three. Throws EEXIST when the container has
 * a bundle: delete it first.
 */
export function writeBundle(bundle: string, spec: ContainerSpec, config: OciConfig): void {
  mkdirSync(bundle, { mode: 0o700 });
  for (const entry of spec.writableRoot === true ? [] : etcLayer(spec)) {
    const path = `${bundle}/${entry.path}`;
    if (entry.type === 'directory') mkdirSync(path, { mode: 0o755 });
    else if (entry.type === 'symlink') symlinkSync(entry.target, path);
    else writeFileSync(path, entry.text, { mode: entry.mode });
  }
  if (spec.labels !== undefined) writeFileSync(`${bundle}/labels.json`, JSON.stringify(spec.labels), { mode: 0o600 });
  writeFileSync(`${bundle}/config.json`, JSON.stringify(config), { mode: 0o600 });
}

/** The labels a bundle was written with; undefined when it has none or is not whole. */
export function readLabels(bundle: string): Readonly<Record<string, string>> | undefined {
  return readJson(`${bundle}/labels.json`) as Record<string, string> | undefined;
}

/** The config a bundle was written with; undefined when it is missing or not whole. */
export function readConfig(bundle: string): OciConfig | undefined {
  return readJson(`${bundle}/config.json`) as OciConfig | undefined;
}
