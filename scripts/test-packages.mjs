/**
 * Packages of many files as few, for the tests alone: jest reads, resolves and compiles each file of a package again
 * for each file of tests. Programs have the same packages in their bundles (docs/adr/0009-programs-are-bundled.md).
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = dirname(dirname(fileURLToPath(import.meta.url)));

/** By the file that holds them; what packages of one file share is there once. */
const PARTS = {
  validation: ['class-validator', 'class-transformer'],
  services: ['@nestjs/common', '@nestjs/core', '@nestjs/microservices', '@nestjs/typeorm', 'rxjs', 'typeorm'],
};
/** They keep what they know in places that all copies share, or belong to another part. */
const OUTSIDE = ['reflect-metadata', 'pg', 'pg-*', 'nats', ...Object.values(PARTS).flat()];

const directory = join(top, 'node_modules/.cache/plinth-test-packages');
const fileOf = (name) => join(directory, `${name.replaceAll('/', '+')}.cjs`);

/** For jest's `moduleNameMapper`. */
export const testPackages = Object.fromEntries(
  Object.values(PARTS)
    .flat()
    .map((name) => [`^${name}$`, fileOf(name)]),
);

/** Makes them, unless they are there. */
export async function buildTestPackages() {
  const state = createHash('sha256')
    .update(readFileSync(join(top, 'package-lock.json')))
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest('hex');
  const mark = join(directory, 'made-of');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === state) return;
  await mkdir(directory, { recursive: true });
  for (const [part, names] of Object.entries(PARTS)) await bundlePart(part, names);
  await write(mark, state);
}

async function bundlePart(part, names) {
  const lines = names.map((name, index) => `export * as p${index} from ${JSON.stringify(name)};`);
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: top },
    absWorkingDir: top,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    keepNames: true,
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    write: false,
    logLevel: 'error',
    mainFields: ['module', 'main'],
    external: OUTSIDE.filter((name) => !names.includes(name)),
    define: { 'import.meta.url': 'plinthUrl' },
    banner: { js: "const plinthUrl = require('node:url').pathToFileURL(__filename).href;" },
    plugins: [absentStaysOutside],
  });
  await write(join(directory, `${part}.cjs`), outputFiles[0].contents);
  for (const [index, name] of names.entries())
    // Jest does not look for the names of exports in the whole part.
    await write(fileOf(name), `const { p${index} } = require('./${part}.cjs');\nmodule.exports = p${index};\n`);
}

/** What packages load when it is there, and is not, stays outside. */
const absentStaysOutside = {
  name: 'absent-stays-outside',
  setup(bundler) {
    bundler.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === 'asked') return undefined;
      const found = await bundler.resolve(path, { ...rest, pluginData: 'asked' });
      return found.errors.length > 0 ? { path, external: true } : found;
    });
  },
};

/** Two runs of jest may begin at once. */
async function write(path, contents) {
  const staging = `${path}.${process.pid}`;
  await writeFile(staging, contents);
  await rename(staging, path);
}
