/**
 * `npm run build`: compiles every project (`tsc -b`), then puts each program with the packages that it uses into one
 * file and a few parts that it loads when they are needed, in `apps/<name>/dist/`: docs/adr/0009-programs-are-bundled.md.
 * What has not changed is not made again.
 * `npm run build -- apps/cli …` builds those applications and what they need.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = dirname(dirname(fileURLToPath(import.meta.url)));

/** Threads of `libs/image-transfer`; they are started from beside the program that uses it. */
const imageThreads = (...names) => names.map((name) => `libs/image-transfer/dist/${name}.worker`);

/** Programs beside `main`, each started by it as a process or thread of its own. */
const BESIDE_MAIN = {
  'host-agent': ['lease-guard', 'name-resolver', ...imageThreads('installation', 'collection', 'check', 'serving')],
  distributor: imageThreads('extraction', 'collection', 'check'),
};

const OLD_PART_MS = 3_600_000;

/** The bundler's collector runs less often: a fifth less computing for some hundred megabytes more. */
process.env['GOGC'] ??= '400';

/** Pages that a service sends to browsers, from their sources to `dist/page/`. */
const PAGES = { console: { script: 'apps/console/page/main.tsx', files: ['console.css', 'index.html', 'icon.svg'] } };

/** A native module; it finds its binary beside its own files. */
const KEPT_OUT = ['koffi'];

/**
 * Nest and TypeORM name packages that they load when an application asks for them. Those that are not installed stay
 * outside, where loading one fails with the message that the package has for it.
 */
const absentStaysOutside = {
  name: 'absent-stays-outside',
  setup(bundler) {
    bundler.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === 'asked') return undefined;
      const found = await bundler.resolve(path, { ...rest, pluginData: 'asked' });
      // A package of ours that is not there is an error of the build.
      return found.errors.length > 0 && !path.startsWith('@plinth/') ? { path, external: true } : found;
    });
  },
};

/**
 * Contracts use a third of class-validator's decorators. Its ES modules let the bundler leave the others out, with the
 * phone numbers of all countries. Nest's ValidationPipe, which nothing here uses, would load all of it, from outside.
 */
const usedValidators = {
  name: 'used-validators',
  setup(bundler) {
    const modules = join(top, 'node_modules/class-validator/esm2015/index.js');
    bundler.onResolve({ filter: /^class-validator$/ }, ({ importer }) =>
      /[\\/]node_modules[\\/]@nestjs[\\/]/.test(importer)
        ? { path: 'class-validator', external: true }
        : { path: modules, sideEffects: false },
    );
  },
};

/**
 * `@nestjs/typeorm` looks for two exports of older versions by `require('typeorm')`, which would load the package's
 * 300 files a second time, from outside of the program.
 */
const oneTypeorm = {
  name: 'one-typeorm',
  setup(bundler) {
    const wanted = 'const require = createRequire(import.meta.url);';
    bundler.onLoad({ filter: /[\\/]@nestjs[\\/]typeorm[\\/].*[\\/]typeorm-compat\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      if (!text.includes(wanted)) return { errors: [{ text: `${path} has no ${wanted} any more: see one-typeorm` }] };
      const contents = text.replace(
        wanted,
        "import * as typeormItself from 'typeorm';\nconst require = () => typeormItself;",
      );
      return { contents };
    });
  },
};

const asked = process.argv.slice(2);
const compiler = join(top, 'node_modules/typescript-7/bin/tsc');
const compiled = spawnSync(process.execPath, [compiler, '-b', ...asked], { cwd: top, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

const applications = readdirSync(join(top, 'apps')).filter((name) =>
  asked.length === 0 ? existsSync(join(top, 'apps', name, 'package.json')) : asked.includes(`apps/${name}`),
);
// The bundler uses all processors for one of them; all of them at once would take 1.5 GB.
for (const application of applications) {
  await bundle(application);
  if (PAGES[application]) await bundlePage(application, PAGES[application]);
}

async function bundle(name) {
  const root = join(top, 'apps', name);
  const programs = ['main', ...(BESIDE_MAIN[name] ?? [])];
  const targets = programs.map((program) => join(root, 'dist', `${program.split('/').pop()}.js`));
  if (Math.min(...targets.map(changedAt)) > lastChange(name)) return;
  const { outputFiles } = await build({
    entryPoints: programs.map((program) => ({
      in: program.startsWith('libs/') ? join(top, `${program}.js`) : join(root, 'build', `${program}.js`),
      out: program.split('/').pop(),
    })),
    outdir: join(root, 'dist'),
    absWorkingDir: top,
    bundle: true,
    // What a program loads later, such as a command of the operator's tool, is not read before.
    splitting: true,
    // Beside the programs: code finds files relative to its own.
    chunkNames: '[name]-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Nest and TypeORM read the names of classes.
    keepNames: true,
    external: KEPT_OUT,
    plugins: [usedValidators, absentStaysOutside, oneTypeorm],
    // What CommonJS packages find in their scope.
    banner: {
      js: [
        "import { createRequire as plinthRequire } from 'node:module';",
        'const require = plinthRequire(import.meta.url);',
        'const __filename = import.meta.filename, __dirname = import.meta.dirname;',
      ].join('\n'),
    },
    logLevel: 'error',
    write: false,
  });
  // A build that is cut off must not leave half a program that is newer than its sources: parts first.
  await mkdir(join(root, 'dist'), { recursive: true });
  const isProgram = ({ path }) => targets.includes(path);
  for (const { path, text } of [...outputFiles].sort((a, b) => isProgram(a) - isProgram(b))) {
    await writeFile(`${path}.new`, withCheapNames(text));
    await rename(`${path}.new`, path);
  }
  removeOldParts(join(root, 'dist'), new Set(outputFiles.map(({ path }) => path)));
}

/** The page is small and built in a moment: always. */
async function bundlePage(name, { script, files }) {
  const target = join(top, 'apps', name, 'dist/page');
  await mkdir(target, { recursive: true });
  const sources = join(top, dirname(script));
  await build({
    entryPoints: [
      { in: join(top, script), out: name },
      ...files.map((file) => ({ in: join(sources, file), out: file.replace(/\.\w+$/, '') })),
    ],
    outdir: target,
    absWorkingDir: top,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome123', 'firefox120', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.html': 'copy', '.svg': 'copy' },
    legalComments: 'none',
    logLevel: 'error',
  });
}

/**
 * The bundler has every function named again when it is made, each arrow function of each call too, though most have
 * that name already: with that, a service spends a twentieth of its time on it.
 */
function withCheapNames(text) {
  return text.replace(
    /^var __name = \(target, value\) => (__defProp\(.*\));$/m,
    'var __name = (target, value) => (target.name === value ? target : $1);',
  );
}

/** A process of the build before may still load its parts for a while. */
function removeOldParts(directory, present) {
  for (const name of readdirSync(directory).filter((entry) => /\.js(?:\.new)?$/.test(entry))) {
    const path = join(directory, name);
    if (!present.has(path) && Date.now() - changedAt(path) > OLD_PART_MS) rmSync(path, { force: true });
  }
}

/** The newest of what a program is made of: compiled files (the compiler touches its record with them), packages, this. */
function lastChange(name) {
  const libraries = readdirSync(join(top, 'libs')).map((library) => join(top, 'libs', library, 'dist/.tsbuildinfo'));
  return Math.max(
    ...libraries.map(changedAt),
    changedAt(join(top, 'apps', name, 'build/.tsbuildinfo')),
    changedAt(join(top, 'package-lock.json')),
    changedAt(fileURLToPath(import.meta.url)),
  );
}

/** Milliseconds after 1970; 0: there is no such file. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
