/** OCI image layouts for tests: one image for each config, all of the same layers. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param configs tag → `config` of the image. @returns the layout */
export function ociLayout(
  layout: string,
  layers: readonly Buffer[],
  configs: Readonly<Record<string, object>>,
): string {
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const blob = (content: string | Buffer): { digest: string; size: number } => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(layout, 'blobs/sha256', hex), content);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const blobs = layers.map(blob);
  const manifests = Object.entries(configs).map(([tag, config]) => ({
    ...blob(JSON.stringify({ schemaVersion: 2, config: blob(JSON.stringify({ config })), layers: blobs })),
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }));
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  return layout;
}
